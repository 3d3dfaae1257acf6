#include "mirror/door.h"

#include <algorithm>
#include <set>

#include "mirror/names.h"

namespace locki::mirror {
namespace {

tl::unexpected<Error> violation(std::string what) { return fail(ErrorKind::kProtocol, std::move(what)); }

constexpr Hash kNoContent{};

}  // namespace

Result<> check_entry(std::string_view path, const Entry& entry, const DoorLimits& limits) {
  switch (entry.kind) {
    case EntryKind::kFile:
      if (entry.size > limits.max_file) {
        return fail(ErrorKind::kNoSpace, "'" + printable(path) + "' is larger than " + human_bytes(limits.max_file));
      }
      if (!entry.target.empty()) return violation("the file '" + printable(path) + "' has a target");
      return {};
    case EntryKind::kDirectory:
      if (entry.size != 0 || entry.executable || entry.content != kNoContent || !entry.target.empty()) {
        return violation("the directory '" + printable(path) + "' has what only files have");
      }
      return {};
    case EntryKind::kSymlink:
      if (entry.executable || entry.size != entry.target.size() || entry.content != hash_of(entry.target)) {
        return violation("the symlink '" + printable(path) + "' does not match its target");
      }
      return check_symlink(path, entry.target);
  }
  return violation("'" + printable(path) + "' is of an unknown kind");
}

bool is_object_id(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool Door::Bucket::take(double n, double seconds) {
  tokens = std::min(burst, tokens + per_second * seconds);
  tokens -= n;
  return tokens >= 0;
}

Door::Door(DoorLimits limits, Clock::time_point now)
    : limits_(limits),
      last_(now),
      messages_{static_cast<double>(limits.messages_burst), static_cast<double>(limits.messages_burst),
                static_cast<double>(limits.messages_per_second)},
      entries_{static_cast<double>(limits.entries_burst), static_cast<double>(limits.entries_burst),
               static_cast<double>(limits.entries_per_second)} {}

void Door::expect_file(wire::Id id, std::uint64_t size) { expected_[id] = {Wait::kFileStart, size}; }
void Door::expect_pack(wire::Id id) { expected_[id] = {Wait::kPackStart, limits_.max_pack}; }
void Door::expect_branches(wire::Id id) { expected_[id] = {Wait::kBranches}; }
void Door::expect_done(wire::Id id) { expected_[id] = {Wait::kDone}; }
void Door::expect_barrier(wire::Id id) { expected_[id] = {Wait::kBarrier}; }

Result<> Door::admit_entries(const wire::Entries& message) {
  if (message.first == in_full_) return violation("a list of entries does not begin where the one before ended");
  in_full_ = !message.last;
  if (message.entries.empty() && !message.last) return violation("an empty piece of a list of entries");
  if (!entries_.take(static_cast<double>(message.entries.size()), elapsed_)) {
    return violation("more changes a second than any honest sandbox has");
  }
  for (const wire::ListedEntry& listed : message.entries) {
    TRY(check_path(listed.path));
    if (listed.entry) TRY(check_entry(listed.path, *listed.entry, limits_));
    if (!listed.entry && message.full) return violation("a full list names something that is gone");
  }
  return {};
}

Result<> Door::admit_data(const wire::Data& message) {
  const auto found = expected_.find(message.id);
  if (found == expected_.end()) return violation("data that nobody asked for");
  Expected& expected = found->second;
  if (expected.wait != Wait::kFileData && expected.wait != Wait::kPackData)
    return violation("data before its announcement");
  if (message.bytes.size() > expected.left) return violation("more data than announced");
  if (message.bytes.empty() && !message.last && !message.failed) return violation("a piece of data without bytes");
  expected.left -= message.bytes.size();
  if (message.last && !message.failed && expected.wait == Wait::kFileData && expected.left != 0)
    return violation("less data than announced");
  if (message.last || message.failed) expected_.erase(found);
  return {};
}

// What a name may be called here is decided where it is used (git/fetched_refs.h): an honest sandbox has names that cannot come out.
Result<> Door::admit_branches(const wire::Branches& message) {
  if (message.branches.size() > wire::kMaxBranches) return violation("more branches than may be listed");
  std::set<std::string_view> names;
  for (const wire::BranchTip& branch : message.branches) {
    if (branch.name.empty() || !names.insert(branch.name).second) return violation("a list of branches that names one twice, or none");
    if (!is_object_id(branch.oid)) return violation("a branch tip that is no object id");
  }
  return {};
}

Result<> Door::admit(const wire::Message& message, std::size_t, Clock::time_point now) {
  elapsed_ = std::chrono::duration<double>(now - last_).count();
  last_ = now;
  // The other bucket fills in admit_entries() with the same interval only when entries come; keep what it misses.
  if (!std::holds_alternative<wire::Entries>(message)) entries_.take(0, elapsed_);
  if (!messages_.take(1, elapsed_)) return violation("more messages a second than any honest sandbox sends");
  if (!wire::from_far(message)) return violation("a message that only the host sends");
  if (!greeted_ && !std::holds_alternative<wire::FarHello>(message)) return violation("a message before the greeting");

  const auto take = [&](wire::Id id, std::initializer_list<Wait> allowed, const char* what) -> Result<Expected*> {
    const auto found = expected_.find(id);
    if (found == expected_.end() || std::find(allowed.begin(), allowed.end(), found->second.wait) == allowed.end()) {
      return violation(std::string(what) + " that nobody asked for");
    }
    return &found->second;
  };

  if (const auto* hello = std::get_if<wire::FarHello>(&message)) {
    if (greeted_) return violation("a second greeting");
    greeted_ = true;
    if (hello->version != wire::kVersion) {
      return violation("it speaks version " + std::to_string(hello->version) +
                       " of the mirror's language, this is version " + std::to_string(wire::kVersion));
    }
  } else if (const auto* entries = std::get_if<wire::Entries>(&message)) {
    return admit_entries(*entries);
  } else if (const auto* data = std::get_if<wire::Data>(&message)) {
    return admit_data(*data);
  } else if (const auto* content = std::get_if<wire::Content>(&message)) {
    TRY_ASSIGN(Expected * expected, take(content->id, {Wait::kFileStart}, "a file"));
    if (content->size != expected->left) return violation("a file of another size than it was listed with");
    expected->wait = Wait::kFileData;
  } else if (const auto* gone = std::get_if<wire::ContentGone>(&message)) {
    TRY(take(gone->id, {Wait::kFileStart}, "news of a file"));
    expected_.erase(gone->id);
  } else if (const auto* pack = std::get_if<wire::Pack>(&message)) {
    TRY_ASSIGN(Expected * expected, take(pack->id, {Wait::kPackStart}, "a pack"));
    if (!is_object_id(pack->oid)) return violation("a pack for what is no object id");
    expected->wait = Wait::kPackData;
  } else if (const auto* done = std::get_if<wire::Done>(&message)) {
    // A GitFetch or ListBranches that cannot be served is answered with Done(failed); a pack also on its way.
    TRY(take(done->id, {Wait::kDone, Wait::kPackStart, Wait::kPackData, Wait::kBranches}, "an answer"));
    // What is reported as being there becomes part of the state only through a later Entries or after this same check.
    if (done->actual) {
      if (auto good = check_entry("x", *done->actual, limits_); !good && done->actual->kind != EntryKind::kSymlink)
        return good;
    }
    expected_.erase(done->id);
  } else if (const auto* barrier = std::get_if<wire::BarrierDone>(&message)) {
    TRY(take(barrier->id, {Wait::kBarrier}, "a barrier"));
    expected_.erase(barrier->id);
  } else if (const auto* branches = std::get_if<wire::Branches>(&message)) {
    TRY(take(branches->id, {Wait::kBranches}, "a list of branches"));
    TRY(admit_branches(*branches));
    expected_.erase(branches->id);
  } else if (const auto* head = std::get_if<wire::Head>(&message)) {
    if (!head->oid.empty() && !is_object_id(head->oid)) return violation("a branch tip that is no object id");
  } else if (const auto* credit = std::get_if<wire::Credit>(&message)) {
    if (credit->bytes > static_cast<std::uint32_t>(wire::kWindow) * 2)
      return violation("more credit than there can be");
  }
  return {};
}

}  // namespace locki::mirror
