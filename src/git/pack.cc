#include "git/pack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/path_rules.h"
#include "git/inspect.h"
#include "sys/fault.h"

namespace locki::git {
namespace {

// Below it objects are stored one by one, as receive-pack does (receive.unpackLimit), so that a thousand small commits
// are not a thousand packs.
constexpr std::size_t kUnpackLimit = 100;

// For GIT_ALTERNATE_OBJECT_DIRECTORIES: ':' separates, a leading '"' means C quoting.
std::string quoted_alternate(const std::string& path) {
  std::string out = "\"";
  for (const char c : path) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

sys::ProcessSpec pack_command(const Repository& repository, int out) {
  auto spec = repository.common_command(
      {"pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "--quiet", "--threads=2"});
  spec.out = out;
  return spec;
}

Result<std::string> pack_revisions(const Repository& repository, const ObjectId& want,
                                   const std::vector<ObjectId>& haves, const std::vector<ObjectId>& boundary) {
  std::string revisions;
  // Before any commit is read (builtin/pack-objects.c, get_object_list(); it is what upload-pack says for a shallow clone).
  for (const ObjectId& oid : boundary) revisions += "--shallow " + oid + "\n";
  revisions += want + "\n";
  std::string question;
  for (const ObjectId& have : haves) {
    if (is_object_id(have)) question += have + "\n";
  }
  if (question.empty()) return revisions;
  TRY_ASSIGN(
      const std::string answer,
      sys::run_ok(repository.common_command({"cat-file", "--batch-check=%(objectname) %(objecttype)"}), question));
  for (const std::string& line : split_lines(answer)) {
    const auto words = split(line, ' ');
    if (words.size() == 2 && words[1] == "commit" && is_object_id(words[0])) revisions += "^" + words[0] + "\n";
  }
  return revisions;
}

Result<Quarantine> Quarantine::begin(const Repository& repository, AcceptLimits limits) {
  // In the repository's own object directory, under the name that git gives its own quarantines: moving out of it is a
  // rename, and git prune knows what a stale one is.
  const fs::path objects = repository.common_dir() / "objects";
  TRY_ASSIGN(auto directory, sys::TemporaryDirectory::make(objects, "tmp_objdir-incoming-locki"));
  TRY(sys::make_directories(directory.path() / "pack"));
  TRY_ASSIGN(sys::Fd pack, sys::open_file(directory.path() / "incoming.pack", O_RDWR | O_CREAT | O_EXCL, 0600));
  return Quarantine(repository, limits, std::move(directory), std::move(pack));
}

Result<> Quarantine::write(ByteView bytes) {
  if (bytes.size() > limits_.max_pack - size_) {
    return fail(ErrorKind::kNoSpace, "the pack is larger than " + human_bytes(limits_.max_pack));
  }
  size_ += bytes.size();
  return sys::write_all(pack_.get(), bytes);
}

sys::ProcessSpec Quarantine::command(std::vector<std::string> args) const {
  auto spec = repository_.common_command(std::move(args));
  spec.environment["GIT_OBJECT_DIRECTORY"] = directory_.path().string();
  spec.environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] =
      quoted_alternate((repository_.common_dir() / "objects").string());
  // git refuses to move refs while it sees this.
  spec.environment["GIT_QUARANTINE_PATH"] = directory_.path().string();
  return spec;
}

Result<> Quarantine::check(const ObjectId& tip, const ObjectId& old_tip) {
  return check(std::vector<ObjectId>{tip}, Known{.commits = old_tip.empty() ? std::vector<ObjectId>{} : std::vector<ObjectId>{old_tip}});
}

Result<> Quarantine::check(const std::vector<ObjectId>& tips, const Known& known) {
  for (const auto* ids : {&tips, &known.commits}) {
    if (!std::all_of(ids->begin(), ids->end(), [](const ObjectId& id) { return is_object_id(id); }))
      return fail(ErrorKind::kProtocol, "that is no object id");
  }
  if (::lseek(pack_.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "cannot read the pack again");
  auto index =
      command({"-c", "core.bigFileThreshold=16m", "index-pack", "--stdin", "--fix-thin", "--strict=badFilemode=error",
               "--threads=1", "--max-input-size=" + std::to_string(limits_.max_pack)});
  index.in = pack_.get();
  if (size_ > 0) {
    TRY_ASSIGN(const sys::Output indexed, sys::run(index, {}, {.timeout = limits_.timeout, .max_output = 1 << 20}));
    if (!indexed.exit.ok()) {
      return fail(ErrorKind::kProtocol, "git refuses the pack: " + printable(trim(indexed.err)));
    }
  }
  const Inspector inspector([this](std::vector<std::string> args) { return command(std::move(args)); }, limits_);
  TRY(inspector.inspect(tips, known));
  checked_ = true;
  return {};
}

Result<> Quarantine::migrate() {
  if (!checked_) return fail(ErrorKind::kFailed, "a pack must be checked before it is taken over");
  const fs::path from = directory_.path() / "pack";
  const fs::path to = repository_.common_dir() / "objects" / "pack";
  TRY(sys::make_directories(to));
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) files.push_back(entry.path().filename());
  if (error) return fail_errno(error.value(), "cannot list the quarantine");
  // The index last: a pack exists for git once its index does (tmp-objdir.c, pack_copy_priority).
  const auto rank = [](const fs::path& name) {
    return name.extension() == ".idx" ? 2 : name.extension() == ".pack" ? 0 : 1;
  };
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) { return rank(a) < rank(b); });
  for (const fs::path& name : files) {
    if (name.extension() != ".pack") continue;
    TRY_ASSIGN(sys::Fd pack, sys::open_file(from / name, O_RDONLY));
    std::uint8_t header[12];
    TRY(sys::read_exact(pack.get(), header, sizeof header));
    const std::size_t objects =
        std::size_t{header[8]} << 24 | std::size_t{header[9]} << 16 | std::size_t{header[10]} << 8 | header[11];
    if (objects > kUnpackLimit) continue;
    if (::lseek(pack.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "cannot read the pack again");
    auto unpack = repository_.common_command({"unpack-objects", "-q", "--strict"});
    unpack.in = pack.get();
    TRY(context(sys::run_ok(unpack, {}, {.timeout = limits_.timeout}), "while storing new objects"));
    return {};
  }
  for (const fs::path& name : files) {
    TRY(sys::rename_file(from / name, to / name));
    sys::fault_point("pack.moving");
  }
  return {};
}

Result<> move_ref(const Repository& repository, std::string_view full_name, const ObjectId& to, const ObjectId& from,
                  std::string_view why) {
  const std::string name(full_name);
  // A symbolic ref would let one name stand for another.
  TRY_ASSIGN(const sys::Output symbolic, sys::run(repository.common_command({"symbolic-ref", "--quiet", name})));
  if (symbolic.exit.ok()) return fail(ErrorKind::kConflict, "'" + name + "' is a symbolic ref");
  const std::string old_value = from.empty() ? std::string(to.size(), '0') : from;
  const auto spec = repository.common_command(
      {"update-ref", "--no-deref", "--create-reflog", "-m", std::string(why), name, to, old_value});
  auto moved = sys::run_ok(spec);
  if (moved) return {};
  const auto now = repository.ref(full_name);
  if (now && now->value_or("") != from) return fail(ErrorKind::kConflict, "'" + name + "' has moved meanwhile");
  return fail(std::move(moved).error());
}

}  // namespace locki::git
