#include "mirror/base_store.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::string_view kMagic = "locki mirror state 1\n";
constexpr std::size_t kCheck = 8;
constexpr std::size_t kHash = 32;
constexpr std::size_t kJournalLimit = 4 << 20;
constexpr std::size_t kFileLimit = std::size_t{1} << 30;

void put_number(std::string& out, std::uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i));
}
void put_string(std::string& out, std::string_view text) {
  put_number(out, text.size(), 4);
  out += text;
}
void put_entry(std::string& out, const std::optional<Entry>& entry) {
  out += static_cast<char>(entry ? static_cast<int>(entry->kind) : 0);
  if (!entry) return;
  out += static_cast<char>(entry->executable);
  put_number(out, entry->size, 8);
  out += as_text(entry->content.bytes);
  put_string(out, entry->target);
}

// Our own file, but a disk can lie: every read is bounded, and one failure is remembered.
struct Cursor {
  std::string_view in;
  bool bad = false;

  std::string_view take(std::size_t n) {
    if (n > in.size()) {
      bad = true;
      n = in.size();
    }
    const auto out = in.substr(0, n);
    in.remove_prefix(n);
    return out;
  }
  std::uint64_t number(int bytes) {
    std::uint64_t v = 0;
    int shift = 0;
    for (const char c : take(static_cast<std::size_t>(bytes)))
      v |= std::uint64_t{static_cast<unsigned char>(c)} << (8 * shift++);
    return v;
  }
  std::string string() { return std::string(take(number(4))); }
  std::optional<Entry> entry() {
    const auto kind = number(1);
    if (kind == 0 || bad) return std::nullopt;
    if (kind > 3) bad = true;
    Entry e{.kind = static_cast<EntryKind>(kind)};
    e.executable = number(1) != 0;
    e.size = number(8);
    const auto hash = take(kHash);
    std::copy(hash.begin(), hash.end(), e.content.bytes.begin());
    e.target = string();
    return e;
  }
};

std::string check_of(std::string_view record) { return std::string(as_text(hash_of(record).bytes).substr(0, kCheck)); }

}  // namespace

std::string encode_stored(const StoredState& stored) {
  std::string out(kMagic);
  put_string(out, stored.label_a);
  put_string(out, stored.label_b);
  put_number(out, stored.state.size(), 8);
  for (const auto& [path, entry] : stored.state) {
    put_string(out, path);
    put_entry(out, entry);
  }
  out += as_text(hash_of(out).bytes);
  return out;
}

Result<StoredState> decode_stored(std::string_view bytes) {
  const auto broken = [] { return fail(ErrorKind::kCorrupt, "the stored state is damaged"); };
  if (bytes.size() < kMagic.size() + kHash || !bytes.starts_with(kMagic)) return broken();
  const auto body = bytes.substr(0, bytes.size() - kHash);
  if (as_text(hash_of(body).bytes) != bytes.substr(body.size())) return broken();
  Cursor cursor{body.substr(kMagic.size())};
  StoredState stored;
  stored.label_a = cursor.string();
  stored.label_b = cursor.string();
  const auto count = cursor.number(8);
  for (std::uint64_t i = 0; i < count && !cursor.bad; ++i) {
    std::string path = cursor.string();
    if (auto entry = cursor.entry()) stored.state.emplace_hint(stored.state.end(), std::move(path), std::move(*entry));
  }
  if (cursor.bad || !cursor.in.empty()) return broken();
  return stored;
}

Result<BaseStore> BaseStore::open(const std::filesystem::path& directory) {
  TRY(sys::make_directories(directory, 0700));
  BaseStore store(directory);
  if (auto loaded = store.load(); !loaded) {
    log::error("the agreed state is set aside: {}", loaded.error().describe());
    store.state_.clear();
    store.tip_.clear();
    store.instance_.clear();
    (void)sys::rename_file(store.snapshot_path(), directory / "base.broken");
    (void)sys::rename_file(store.journal_path(), directory / "journal.broken");
  }
  // The journal's torn end, if any, goes away with it.
  TRY(store.compact(true));
  return store;
}

Result<> BaseStore::load() {
  auto snapshot = sys::read_file(snapshot_path(), kFileLimit);
  if (snapshot) {
    TRY_ASSIGN(StoredState stored, decode_stored(*snapshot));
    state_ = std::move(stored.state);
    tip_ = std::move(stored.label_a);
    instance_ = std::move(stored.label_b);
  } else if (snapshot.error().kind() != ErrorKind::kNotFound) {
    return fail(std::move(snapshot).error());
  }
  auto journal = sys::read_file(journal_path(), kFileLimit);
  if (!journal) return journal.error().kind() == ErrorKind::kNotFound ? Result<>{} : fail(std::move(journal).error());
  Cursor cursor{*journal};
  while (cursor.in.size() >= 4 + kCheck) {
    const auto size = cursor.number(4);
    if (size + kCheck > cursor.in.size()) break;
    const auto record = cursor.take(size);
    if (cursor.take(kCheck) != check_of(record)) break;
    TRY(replay(record));
  }
  return {};
}

Result<> BaseStore::replay(std::string_view record) {
  Cursor cursor{record};
  const auto what = cursor.number(1);
  std::string name = cursor.string();
  if (what == 'T') {
    tip_ = std::move(name);
  } else if (what == 'E') {
    auto entry = cursor.entry();
    if (!cursor.bad) apply(state_, {std::move(name), std::move(entry)});
  } else {
    cursor.bad = true;
  }
  if (cursor.bad || !cursor.in.empty()) return fail(ErrorKind::kCorrupt, "the journal of agreed states is damaged");
  return {};
}

Result<> BaseStore::append(std::string_view record) {
  std::string bytes;
  put_string(bytes, record);
  bytes += check_of(record);
  journal_size_ += bytes.size();
  sys::fault_point("base.append");
  TRY(sys::write_all(journal_.get(), bytes));
  sys::fault_point("base.appended");
  return {};
}

Result<> BaseStore::set(const std::string& path, const std::optional<Entry>& entry) {
  apply(state_, {path, entry});
  std::string record = "E";
  put_string(record, path);
  put_entry(record, entry);
  return append(record);
}

Result<> BaseStore::set_tip(const std::string& tip) {
  tip_ = tip;
  std::string record = "T";
  put_string(record, tip);
  return append(record);
}

Result<> BaseStore::reset(const std::string& instance) {
  state_.clear();
  tip_.clear();
  instance_ = instance;
  return compact(true);
}

Result<> BaseStore::compact(bool always) {
  if (!always && journal_size_ < kJournalLimit) return {};
  // A journal that outlives its snapshot's replacement only says again what the snapshot has.
  TRY(sys::write_file(snapshot_path(), encode_stored({state_, tip_, instance_}), 0600));
  sys::fault_point("base.snapshot");
  TRY_ASSIGN(journal_, sys::open_file(journal_path(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
  journal_size_ = 0;
  return {};
}

}  // namespace locki::mirror
