#include "mirror/base_store.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::string_view kMagic = "locki mirror base 2\n";
constexpr std::size_t kCheck = 8;
constexpr std::size_t kJournalLimit = 4 << 20;
constexpr std::size_t kFileLimit = std::size_t{1} << 30;

std::string check_of(std::string_view record) { return std::string(as_text(hash_of(record).bytes).substr(0, kCheck)); }

std::string framed(std::string_view record) {
  std::string bytes;
  put_string(bytes, record);
  return bytes + check_of(record);
}

std::string entry_record(char kind, const std::string& path, const std::optional<Entry>& entry) {
  std::string record(1, kind);
  put_string(record, path);
  put_entry(record, entry);
  return record;
}

std::string text_record(char kind, const std::string& text) {
  std::string record(1, kind);
  put_string(record, text);
  return record;
}

template <class Value, class Put>
void put_versions(std::string& out, const Versions<Value>& versions, const Put& put) {
  put_number(out, versions.items().size(), 4);
  for (const auto& item : versions.items()) {
    put_number(out, item.agreed + 2 * item.lost, 1);
    put_number(out, item.at, 8);
    put(out, item.value);
  }
}

template <class Value, class Get>
Versions<Value> get_versions(Cursor& cursor, const Get& get) {
  std::vector<typename Versions<Value>::Item> items;
  const auto count = cursor.number(4);
  for (std::uint64_t i = 0; i < count && !cursor.bad; ++i) {
    const auto flags = cursor.number(1);
    const auto at = cursor.number(8);
    items.push_back({get(), (flags & 1) != 0, at, (flags & 2) != 0});
  }
  Versions<Value> versions;
  versions.restore(std::move(items));
  return versions;
}

void put_trail(std::string& out, const Trail& trail) {
  put_number(out, trail.position(), 8);
  put_number(out, trail.paths().size(), 8);
  for (const auto& [path, versions] : trail.paths()) {
    put_string(out, path);
    put_versions(out, versions, [](std::string& to, const std::optional<Entry>& entry) { put_entry(to, entry); });
  }
  put_versions(out, trail.tips(), [](std::string& to, const std::string& tip) { put_string(to, tip); });
}

void get_trail(Cursor& cursor, Trail& trail) {
  const auto position = cursor.number(8);
  std::map<std::string, EntryVersions, std::less<>> paths;
  const auto count = cursor.number(8);
  for (std::uint64_t i = 0; i < count && !cursor.bad; ++i) {
    std::string path = cursor.string();
    auto versions = get_versions<std::optional<Entry>>(cursor, [&] { return cursor.entry(); });
    if (versions.items().empty()) cursor.bad = true;
    paths.emplace_hint(paths.end(), std::move(path), std::move(versions));
  }
  auto tips = get_versions<std::string>(cursor, [&] { return cursor.string(); });
  trail.restore(position, std::move(paths), std::move(tips));
}

}  // namespace

Result<BaseStore> BaseStore::open(const std::filesystem::path& directory) {
  TRY(sys::make_directories(directory, 0700));
  BaseStore store(directory);
  if (auto loaded = store.load(); !loaded) {
    log::error("the agreed state is set aside: {}", loaded.error().describe());
    store.forget();
    store.instance_.clear();
    (void)sys::rename_file(store.snapshot_path(), directory / "base.broken");
    (void)sys::rename_file(store.journal_path(), directory / "journal.broken");
  }
  // The journal's torn end, if any, goes away with it.
  TRY(store.compact(true));
  return store;
}

void BaseStore::forget() {
  state_.clear();
  tip_.clear();
  origin_.clear();
  boots_ = {};
  trail_.clear();
  marks_ = 0;
}

std::string BaseStore::encode() const {
  std::string body;
  put_number(body, generation_, 8);
  for (const std::string* text : {&tip_, &instance_, &origin_, &boots_.host, &boots_.sandbox}) put_string(body, *text);
  put_number(body, marks_, 8);
  put_state(body, state_);
  put_trail(body, trail_);
  return seal(kMagic, body);
}

Result<> BaseStore::load_snapshot(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) {
    // As versions before wrote it: without a trail.
    TRY_ASSIGN(StoredState stored, decode_stored(bytes));
    state_ = std::move(stored.state);
    tip_ = std::move(stored.label_a);
    instance_ = std::move(stored.label_b);
    return {};
  }
  TRY_ASSIGN(const std::string_view body, unseal(kMagic, bytes));
  Cursor cursor{body};
  generation_ = cursor.number(8);
  for (std::string* text : {&tip_, &instance_, &origin_, &boots_.host, &boots_.sandbox}) *text = cursor.string();
  marks_ = cursor.number(8);
  state_ = cursor.state();
  get_trail(cursor, trail_);
  return cursor.whole() ? Result<>() : fail(ErrorKind::kCorrupt, "the agreed state is damaged");
}

Result<> BaseStore::load() {
  auto snapshot = sys::read_file(snapshot_path(), kFileLimit);
  if (snapshot) {
    TRY(load_snapshot(*snapshot));
  } else if (snapshot.error().kind() != ErrorKind::kNotFound) {
    return fail(std::move(snapshot).error());
  }
  auto journal = sys::read_file(journal_path(), kFileLimit);
  if (!journal) return journal.error().kind() == ErrorKind::kNotFound ? Result<>{} : fail(std::move(journal).error());
  Cursor cursor{*journal};
  // One of another generation says what the snapshot has already. Versions before had none: their snapshot is 0.
  bool first = generation_ > 0;
  while (cursor.in.size() >= 4 + kCheck) {
    const auto size = cursor.number(4);
    if (size + kCheck > cursor.in.size()) break;
    const auto record = cursor.take(size);
    if (cursor.take(kCheck) != check_of(record)) break;
    if (std::exchange(first, false)) {
      Cursor head{record};
      if (head.number(1) != 'G' || head.number(8) != generation_) return {};
      continue;
    }
    TRY(replay(record));
  }
  return {};
}

Result<> BaseStore::replay(std::string_view record) {
  Cursor cursor{record};
  const auto what = static_cast<char>(cursor.number(1));
  if (what == 'E' || what == 'I') {
    const std::string path = cursor.string();
    const auto entry = cursor.entry();
    const auto known = state_.find(path);
    const auto before = known == state_.end() ? std::nullopt : std::optional<Entry>(known->second);
    if (what == 'I') trail_.intend(path, before, entry);
    else trail_.agree(path, before, entry), apply(state_, {path, entry});
  } else if (what == 'T' || what == 'J') {
    const std::string tip = cursor.string();
    if (what == 'J') trail_.intend_tip(tip_, tip);
    else trail_.agree_tip(tip_, tip), tip_ = tip;
  } else if (what == 'M') {
    const auto position = cursor.number(8);
    trail_.durable(position, cursor.number(1) != 0);
    ++marks_;
  } else if (what == 'B') {
    boots_.host = cursor.string();
    boots_.sandbox = cursor.string();
  } else {
    cursor.bad = true;
  }
  if (!cursor.whole()) return fail(ErrorKind::kCorrupt, "the journal of agreed states is damaged");
  return {};
}

Result<> BaseStore::append(std::string_view bytes) {
  journal_size_ += bytes.size();
  sys::fault_point("base.append");
  TRY(sys::write_all(journal_.get(), bytes));
  sys::fault_point("base.appended");
  return {};
}

Result<> BaseStore::sync() const {
  if (::fdatasync(journal_.get()) != 0) return fail_errno(errno, "cannot flush " + journal_path().string());
  return {};
}

Result<> BaseStore::set(const std::string& path, const std::optional<Entry>& entry) {
  const std::string record = entry_record('E', path, entry);
  TRY(replay(record));
  return append(framed(record));
}

Result<> BaseStore::set_tip(const std::string& tip) {
  const std::string record = text_record('T', tip);
  TRY(replay(record));
  return append(framed(record));
}

Result<> BaseStore::intend(const std::vector<Change>& changes) {
  if (changes.empty()) return {};
  std::string bytes;
  for (const Change& change : changes) {
    const std::string record = entry_record('I', change.path, change.entry);
    TRY(replay(record));
    bytes += framed(record);
  }
  TRY(append(bytes));
  return sync();
}

Result<> BaseStore::intend_tip(const std::string& tip) {
  const std::string record = text_record('J', tip);
  TRY(replay(record));
  TRY(append(framed(record)));
  return sync();
}

Result<> BaseStore::mark(std::uint64_t position, bool idle) {
  // What is forgotten of the trail is on disk as agreed.
  TRY(sync());
  std::string record = "M";
  put_number(record, position, 8);
  put_number(record, idle, 1);
  TRY(replay(record));
  return append(framed(record));
}

Result<> BaseStore::set_boots(const Boots& boots) {
  std::string record = text_record('B', boots.host);
  put_string(record, boots.sandbox);
  TRY(replay(record));
  TRY(append(framed(record)));
  return sync();
}

Result<> BaseStore::fall_back(const State& state, const std::vector<Change>& shown, const std::string& tip, const Boots& boots) {
  for (const Change& change : shown) trail_.fall_back(change.path, change.entry);
  if (tip != tip_) {
    if (trail_.tips().items().empty()) trail_.intend_tip(tip, tip_);
    trail_.fall_back_tip(tip);
  }
  state_ = state;
  tip_ = tip;
  boots_ = boots;
  return compact(true);
}

Result<> BaseStore::begin(const State& state, const std::string& tip) {
  state_ = state;
  tip_ = tip;
  origin_.clear();
  return compact(true);
}

Result<> BaseStore::reset(const std::string& instance, const std::string& origin) {
  forget();
  instance_ = instance;
  origin_ = origin;
  return compact(true);
}

Result<> BaseStore::compact(bool always) {
  if (!always && journal_size_ < kJournalLimit) return {};
  // On disk before the journal that it replaces goes; one that outlives it is known by its generation.
  ++generation_;
  TRY(sys::write_file(snapshot_path(), encode(), 0600));
  sys::fault_point("base.snapshot");
  TRY_ASSIGN(journal_, sys::open_file(journal_path(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
  std::string head = "G";
  put_number(head, generation_, 8);
  journal_size_ = 0;
  return append(framed(head));
}

}  // namespace locki::mirror
