#include "mirror/history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <map>

#include "git/blobs.h"
#include "mirror/stored.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::string_view kStates = "refs/heads/states";
constexpr std::size_t kInline = 1 << 20;   // larger contents go through git hash-object
constexpr std::size_t kAtOnce = 32 << 20;  // bytes of one fast-import input
constexpr std::size_t kLooseLimit = 5000;
constexpr std::size_t kMaxLog = 512 << 20;
constexpr std::uint64_t kMaxCompared = 64 << 20;

// Always quoted: names may begin with '"'. They hold no control characters and no backslash (names.h), but quote as if
// they did.
std::string quoted_path(std::string_view path) {
  std::string out = "\"";
  for (const char c : path) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string data_of(std::string_view bytes) {
  return "data " + std::to_string(bytes.size()) + "\n" + std::string(bytes) + "\n";
}

std::string commit_head(std::string_view ref, std::string_view message, bool continues) {
  std::string out = "commit " + std::string(ref) + "\ncommitter locki <locki@localhost> " +
                    std::to_string(std::time(nullptr)) + " +0000\n";
  out += data_of(message);
  if (continues) out += "from " + std::string(ref) + "^0\n";
  return out;
}

std::string mode_of(const Entry& entry) {
  return entry.kind == EntryKind::kSymlink ? "120000" : entry.executable ? "100755" : "100644";
}

std::string first_word(const std::string& text) { return text.substr(0, text.find_first_of(" \n")); }

bool is_version(std::string_view id) { return git::is_object_id(id); }

}  // namespace

sys::ProcessSpec History::command(std::vector<std::string> args) const {
  auto spec = git::command(program_, git::Config::kOurs, directory_, std::move(args));
  spec.environment["GIT_DIR"] = directory_.string();
  return spec;
}

Result<History> History::open(const git::Program& program, const std::filesystem::path& directory) {
  TRY(sys::make_directories(directory, 0700));
  History history(program, directory);
  if (!std::filesystem::exists(directory / "HEAD")) {
    TRY(context(sys::run_ok(history.command({"init", "--bare", "--quiet", "--template=", "--initial-branch=states"})),
                "while making the history"));
  }
  // There is one writer, so every lock that is there belongs to one that was killed.
  std::error_code ignored;
  std::filesystem::remove(directory / "packed-refs.lock", ignored);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory / "refs", ignored)) {
    if (entry.path().extension() == ".lock") std::filesystem::remove(entry.path(), ignored);
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory / "objects" / "pack", ignored)) {
    if (entry.path().filename().string().starts_with("tmp_")) std::filesystem::remove(entry.path(), ignored);
  }
  TRY(history.load_recorded());
  return history;
}

Result<History> History::open_existing(const git::Program& program, const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory / "HEAD")) return fail(ErrorKind::kNotFound, "there is no history yet");
  return History(program, directory);
}

// The index says which contents (by our hash) the last version has. It is written when the writer ends well; otherwise
// what changed since it was written counts as unknown, and is recorded again.
Result<> History::load_recorded() {
  TRY_ASSIGN(const sys::Output tip, sys::run(command({"rev-parse", "--verify", "--quiet", std::string(kStates)})));
  if (!tip.exit.ok()) return {};
  const auto bytes = sys::read_file(directory_ / "locki-index", std::size_t{1} << 30);
  if (!bytes) return {};
  auto stored = decode_stored(*bytes);
  if (!stored || !is_version(stored->label_a)) return {};
  TRY_ASSIGN(const sys::Output since, sys::run(command({"diff-tree", "-r", "-z", "--name-only", "--no-renames",
                                                        stored->label_a, std::string(kStates)})));
  if (!since.exit.ok()) return {};
  recorded_ = std::move(stored->state);
  for (const std::string& path : split(since.out, '\0')) recorded_.erase(path);
  return {};
}

bool History::has(std::string_view path, const Entry& entry) const {
  const auto found = recorded_.find(path);
  return found != recorded_.end() && found->second == entry;
}

namespace {

// One fast-import input under way.
struct Batch {
  std::string text;
  std::vector<Change> done;
  std::size_t files = 0;
};

struct ReadFile {
  Entry entry;
  std::string bytes;  // when it is small
  bool small = true;
};

Result<ReadFile> read_whole(int fd) {
  ReadFile file;
  Blake2 hash;
  std::array<std::uint8_t, 65536> buffer;
  while (true) {
    TRY_ASSIGN(const std::size_t n, sys::read_some(fd, buffer.data(), buffer.size()));
    if (n == 0) break;
    hash.update(ByteView(buffer.data(), n));
    file.entry.size += n;
    if (file.small && file.bytes.size() + n <= kInline) {
      file.bytes.append(as_text(ByteView(buffer.data(), n)));
    } else {
      file.small = false;
      file.bytes.clear();
    }
  }
  file.entry.content = hash.finish();
  return file;
}

}  // namespace

Result<> History::record(const std::vector<Change>& changes, const Opener& open) {
  TRY_ASSIGN(const sys::Output tip, sys::run(command({"rev-parse", "--verify", "--quiet", std::string(kStates)})));
  bool continues = tip.exit.ok();
  Batch batch;
  const auto flush = [&]() -> Result<> {
    if (batch.done.empty()) return {};
    if (!batch.text.empty()) {
      const std::string summary = std::to_string(batch.files) + (batch.files == 1 ? " file" : " files");
      const std::string input = commit_head(kStates, summary, continues) + batch.text + "done\n";
      TRY(context(sys::run_ok(command({"fast-import", "--quiet", "--done"}), input), "while recording a version"));
      TRY(sync_refs("heads"));
      sys::fault_point("history.recorded");
      continues = true;
    }
    mirror::apply(recorded_, batch.done);
    batch = {};
    return {};
  };
  // What goes first: a file may give way to a directory of its name.
  for (const Change& change : changes) {
    const auto before = recorded_.find(change.path);
    const bool was_there = before != recorded_.end() && before->second.kind != EntryKind::kDirectory;
    const bool replaced = change.entry && change.entry->kind == EntryKind::kDirectory && was_there;
    if (!change.entry || replaced) {
      if (continues) batch.text += "D " + quoted_path(change.path) + "\n", ++batch.files;
      batch.done.push_back({change.path, std::nullopt});
    }
  }
  for (const Change& change : changes) {
    if (!change.entry) continue;
    Entry entry = *change.entry;
    if (entry.kind == EntryKind::kDirectory) {
      batch.done.push_back(change);
      continue;
    }
    std::string text = "M " + mode_of(entry) + " ";
    if (entry.kind == EntryKind::kSymlink) {
      text += "inline " + quoted_path(change.path) + "\n" + data_of(entry.target);
    } else {
      auto fd = open(change.path);
      if (!fd) continue;  // changed meanwhile: the next version will have it
      TRY_ASSIGN(ReadFile file, read_whole(fd->get()));
      file.entry.executable = entry.executable;
      entry = file.entry;
      if (has(change.path, entry)) continue;
      if (file.small) {
        text += "inline " + quoted_path(change.path) + "\n" + data_of(file.bytes);
      } else {
        if (::lseek(fd->get(), 0, SEEK_SET) != 0) return fail_errno(errno, "cannot read a file again");
        auto spec = command({"hash-object", "-w", "--stdin", "--no-filters"});
        spec.in = fd->get();
        TRY_ASSIGN(const std::string oid, sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}));
        text += first_word(oid) + " " + quoted_path(change.path) + "\n";
      }
    }
    batch.text += text;
    batch.done.push_back({change.path, entry});
    ++batch.files;
    if (batch.text.size() >= kAtOnce) TRY(flush());
  }
  return flush();
}

Result<std::string> History::keep(std::string_view path, const Entry& entry, int content, std::string_view reason) {
  std::string text = "M " + mode_of(entry) + " ";
  if (entry.kind == EntryKind::kSymlink) {
    text += "inline " + quoted_path(path) + "\n" + data_of(entry.target);
  } else {
    auto spec = command({"hash-object", "-w", "--stdin", "--no-filters"});
    spec.in = content;
    if (::lseek(content, 0, SEEK_SET) != 0) return fail_errno(errno, "cannot read a file again");
    TRY_ASSIGN(const std::string oid, sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}));
    text += first_word(oid) + " " + quoted_path(path) + "\n";
  }
  const std::string ref = "refs/kept/" + std::to_string(std::time(nullptr)) + "-" + random_hex(4);
  const std::string message = "kept: " + std::string(reason) + "\n\n" + std::string(path) + "\n";
  TRY(context(
      sys::run_ok(command({"fast-import", "--quiet", "--done"}), commit_head(ref, message, false) + text + "done\n"),
      "while keeping a version"));
  TRY(sync_refs("kept"));
  sys::fault_point("history.kept");
  TRY_ASSIGN(const std::string id, sys::run_ok(command({"rev-parse", "--verify", ref})));
  return first_word(id);
}

Result<std::string> History::keep_held(const std::vector<HeldContent>& files) {
  constexpr std::string_view kHeld = "refs/held/now";
  TRY_ASSIGN(const sys::Output tip, sys::run(command({"rev-parse", "--verify", "--quiet", std::string(kHeld)})));
  std::string input = commit_head(kHeld, "held", tip.exit.ok()) + "deleteall\n";
  for (const HeldContent& file : files)
    input += "M " + mode_of(file.entry) + " inline " + quoted_path(file.path) + "\n" + data_of(file.bytes);
  TRY(context(sys::run_ok(command({"fast-import", "--quiet", "--done"}), input + "done\n"), "while keeping held files"));
  TRY(sync_refs("held"));
  sys::fault_point("history.held");
  TRY_ASSIGN(const std::string id, sys::run_ok(command({"rev-parse", "--verify", std::string(kHeld)})));
  return first_word(id);
}

Result<std::vector<Version>> History::list(std::size_t limit) const {
  TRY_ASSIGN(const std::string out,
             sys::run_ok(command({"log", "--date-order", "-z", "--format=%H%n%ct%n%s%n%b",
                                  "--max-count=" + std::to_string(limit), "--branches", "--glob=refs/kept/*", "--"})));
  std::vector<Version> versions;
  for (const std::string& record : split(out, '\0')) {
    const auto lines = split_lines(record);
    if (lines.size() < 3) continue;
    Version version{.id = lines[0], .summary = printable(lines[2])};
    version.time = static_cast<std::int64_t>(parse_u64(lines[1]).value_or(0));
    if (lines[2].starts_with("kept: ") && lines.size() > 3) version.kept_path = lines[3];
    versions.push_back(std::move(version));
  }
  return versions;
}

Result<State> History::tree(std::string_view version) const {
  if (!version.empty() && !is_version(version))
    return fail(ErrorKind::kUsage, "'" + printable(version) + "' is not a version");
  const std::string which = version.empty() ? std::string(kStates) : std::string(version);
  TRY_ASSIGN(const std::string out, sys::run_ok(command({"ls-tree", "-r", "-t", "-z", "-l", "--full-tree", which})));
  State state;
  for (const std::string& record : split(out, '\0')) {
    // "<mode> <type> <oid> <size, padded>\t<path>"
    const auto tab = record.find('\t');
    if (tab == std::string::npos) continue;
    const std::string mode = first_word(record);
    const auto size =
        parse_u64(trim(std::string_view(record).substr(0, tab).substr(record.substr(0, tab).rfind(' ') + 1)));
    Entry entry;
    entry.kind = mode == "040000" ? EntryKind::kDirectory : mode == "120000" ? EntryKind::kSymlink : EntryKind::kFile;
    entry.executable = mode == "100755";
    entry.size = size.value_or(0);
    state.emplace(record.substr(tab + 1), std::move(entry));
  }
  return state;
}

Result<> History::read_into(std::string_view version, std::string_view path, int out) const {
  if (!version.empty() && !is_version(version))
    return fail(ErrorKind::kUsage, "'" + printable(version) + "' is not a version");
  const std::string object = (version.empty() ? std::string(kStates) : std::string(version)) + ":" + std::string(path);
  TRY_ASSIGN(const sys::Output type, sys::run(command({"cat-file", "-t", object})));
  if (!type.exit.ok() || trim(type.out) != "blob") {
    return fail(ErrorKind::kNotFound, "there is no file '" + printable(path) + "' in that version");
  }
  auto spec = command({"cat-file", "blob", object});
  spec.out = out;
  TRY(sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(10)}));
  return {};
}

Result<std::string> History::read(std::string_view version, std::string_view path, std::size_t limit) const {
  if (!version.empty() && !is_version(version))
    return fail(ErrorKind::kUsage, "'" + printable(version) + "' is not a version");
  const std::string object = (version.empty() ? std::string(kStates) : std::string(version)) + ":" + std::string(path);
  TRY_ASSIGN(const sys::Output type, sys::run(command({"cat-file", "-t", object})));
  if (!type.exit.ok() || trim(type.out) != "blob") {
    return fail(ErrorKind::kNotFound, "there is no file '" + printable(path) + "' in that version");
  }
  return sys::run_ok(command({"cat-file", "blob", object}), {}, {.max_output = limit});
}

Result<std::string> History::find(std::string_view path, const Hash& content, std::size_t limit) const {
  constexpr const char* kLooked = "--max-count=20";
  TRY_ASSIGN(const std::string versions, sys::run_ok(command({"--literal-pathspecs", "rev-list", kLooked, std::string(kStates), "--", std::string(path)})));
  for (const std::string& version : split_lines(versions)) {
    auto bytes = read(version, path, limit);
    if (bytes && hash_of(*bytes) == content) return bytes;
  }
  return fail(ErrorKind::kNotFound, "no version has '" + printable(path) + "' as it was agreed on");
}

Result<std::set<std::pair<std::string, Hash>>> History::ever_had(const std::vector<Change>& candidates) const {
  std::map<std::string, std::vector<Entry>> wanted;
  for (const Change& change : candidates)
    if (change.entry) wanted[change.path].push_back(*change.entry);
  std::set<std::pair<std::string, Hash>> had;
  TRY_ASSIGN(const sys::Output tip, sys::run(command({"rev-parse", "--verify", "--quiet", std::string(kStates)})));
  if (wanted.empty() || !tip.exit.ok()) return had;
  TRY_ASSIGN(const std::string log,
             sys::run_ok(command({"log", "--format=", "--raw", "-z", "--no-abbrev", "--no-renames", "--root", std::string(kStates)}),
                         {}, {.timeout = std::chrono::minutes(5), .max_output = kMaxLog}));
  std::set<std::pair<std::string, git::ObjectId>> seen;
  std::vector<std::string> paths;
  std::vector<git::ObjectId> blobs;
  const auto fields = split(log, '\0');
  // ":<mode> <mode> <oid> <oid> <status>" NUL path NUL
  for (std::size_t i = 0; i + 1 < fields.size(); ++i) {
    const auto words = split(trim(fields[i]), ' ');
    if (words.size() != 5 || !words[0].starts_with(':')) continue;
    const std::string& path = fields[++i];
    for (std::string_view up = parent_of(path); !up.empty(); up = parent_of(up)) {
      const auto directory = wanted.find(std::string(up));
      if (directory != wanted.end()) had.emplace(directory->first, Entry::directory().content);
    }
    if (!wanted.contains(path) || words[1] == "000000" || !seen.emplace(path, words[3]).second) continue;
    paths.push_back(path);
    blobs.push_back(words[3]);
  }
  TRY(git::read_blobs([&](std::vector<std::string> args) { return command(std::move(args)); }, blobs, kMaxCompared,
                      [&](std::size_t index, std::string_view content) {
                        for (const Entry& entry : wanted.at(paths[index]))
                          if (entry.size == content.size() && entry.content == hash_of(content)) had.emplace(paths[index], entry.content);
                      }));
  return had;
}

Result<> History::tidy() {
  TRY_ASSIGN(const sys::Output tip, sys::run(command({"rev-parse", "--verify", "--quiet", std::string(kStates)})));
  if (tip.exit.ok()) {
    TRY(sys::write_file(directory_ / "locki-index", encode_stored({recorded_, first_word(tip.out), ""}), 0600));
  }
  TRY_ASSIGN(const std::string counted, sys::run_ok(command({"count-objects", "-v"})));
  std::size_t loose = 0, packs = 0;
  for (const std::string& line : split_lines(counted)) {
    if (line.starts_with("count: ")) loose = parse_u64(line.substr(7)).value_or(0);
    if (line.starts_with("packs: ")) packs = parse_u64(line.substr(7)).value_or(0);
  }
  if (loose < kLooseLimit && packs < 50) return {};
  TRY(sys::run_ok(command({"repack", "-a", "-d", "-q"}), {}, {.timeout = std::chrono::minutes(10)}));
  return {};
}

}  // namespace locki::mirror
