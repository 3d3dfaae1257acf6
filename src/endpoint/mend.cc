#include "endpoint/mend.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>

#include "base/hash.h"
#include "base/strings.h"
#include "mirror/door.h"
#include "sys/file.h"

namespace locki::endpoint {
namespace {

namespace fs = std::filesystem;

constexpr sys::RunLimits kLook{.timeout = std::chrono::minutes(5), .max_output = std::size_t{1} << 30};

bool is_empty_file(const fs::path& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

std::vector<fs::path> empty_files(const fs::path& directory) {
  std::vector<fs::path> out;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(directory, error); !error && it != fs::recursive_directory_iterator(); it.increment(error))
    if (is_empty_file(it->path())) out.push_back(it->path());
  return out;
}

}  // namespace

Mend::Mend(const Repository& repository, std::string root, std::string branch, fs::path aside)
    : repository_(repository), git_(fs::path(root) / ".git"), ref_("refs/heads/" + branch), aside_(std::move(aside)) {}

Result<std::vector<std::string>> Mend::run(const std::string& good) {
  struct stat st {};
  // Absent, or a file that names another place: nothing of ours.
  if (::lstat(git_.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) return done_;
  TRY(mend_head());
  if (repository_.unfinished() || !opens()) {
    TRY(put_aside(git_, "git"));
    done_.push_back("the repository could not be opened: it is made anew from the host's, and what was there is in " + aside_.string());
    return done_;
  }
  TRY(drop_empty_refs());
  TRY(drop_empty_objects());
  TRY(mend_branch(good));
  TRY(mend_index());
  return done_;
}

bool Mend::opens() const {
  const auto said = sys::run(repository_.command({"rev-parse", "--git-dir"}), {}, kLook);
  return said && said->exit.ok();
}

Result<> Mend::mend_head() {
  const auto head = sys::read_file(git_ / "HEAD", 4096);
  const bool sound = head && (head->starts_with("ref: refs/") || mirror::is_object_id(trim(*head)));
  if (sound) return {};
  if (head && !head->empty()) TRY(put_aside(git_ / "HEAD", "HEAD"));
  TRY(sys::write_file(git_ / "HEAD", "ref: " + ref_ + "\n", 0644));
  done_.emplace_back("HEAD could not be read: it names the sandbox's branch again");
  return {};
}

Result<> Mend::drop_empty_refs() {
  for (const fs::path& ref : empty_files(git_ / "refs")) {
    TRY(sys::remove_tree(ref));
    done_.push_back("the ref " + printable(ref.lexically_relative(git_).string()) + " was empty");
  }
  return {};
}

// git takes an empty file for a damaged object, and never writes it again.
Result<> Mend::drop_empty_objects() {
  std::size_t dropped = 0;
  for (const fs::path& object : empty_files(git_ / "objects")) {
    const std::string name = object.filename();
    if (name.size() < 38 && object.extension() != ".pack" && object.extension() != ".idx") continue;
    TRY(sys::remove_tree(object));
    ++dropped;
  }
  if (dropped > 0) done_.push_back(std::to_string(dropped) + " objects of git were empty");
  return {};
}

// Everything that the tip reaches and the good one does not can be read.
bool Mend::whole(const std::string& tip, const std::string& good) const {
  std::vector<std::string> walk{"rev-list", "--objects", "--no-object-names", tip};
  if (!good.empty()) walk.push_back("^" + good);
  const auto objects = sys::run(repository_.command(std::move(walk)), {}, kLook);
  if (!objects || !objects->exit.ok()) return false;
  // The contents as well: a block that was not written down reads as zeros.
  auto read = repository_.command({"cat-file", "--batch"});
  const sys::Fd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  read.out = nowhere.get();
  const auto all = sys::run(read, objects->out, kLook);
  if (!all || !all->exit.ok()) return false;
  const auto kinds = sys::run(repository_.command({"cat-file", "--batch-check=%(objecttype)"}), objects->out, kLook);
  return kinds && kinds->exit.ok() && kinds->out.find("missing") == std::string::npos;
}

Result<> Mend::mend_branch(const std::string& good) {
  const auto tip = sys::run(repository_.command({"rev-parse", "--quiet", "--verify", ref_}), {}, kLook);
  const std::string oid = tip && tip->exit.ok() ? std::string(trim(tip->out)) : "";
  const bool base = !good.empty() && whole(good, good);
  if (!oid.empty() && (oid == good || whole(oid, base ? good : ""))) return {};
  if (oid.empty() && !base) return {};  // unborn: the host sends what there is
  if (base) {
    TRY(sys::run_ok(repository_.command({"update-ref", "-m", "locki: what was on disk", ref_, good})));
    done_.push_back("the branch" + (oid.empty() ? std::string() : ", at " + oid.substr(0, 12) + ",") + " was not whole: it is at " + good.substr(0, 12) + " again");
    return {};
  }
  TRY(sys::run_ok(repository_.command({"update-ref", "-m", "locki: not whole", "-d", ref_})));
  done_.push_back("the branch, at " + oid.substr(0, 12) + ", was not whole: the host's is taken");
  return {};
}

Result<> Mend::mend_index() {
  struct stat st {};
  if (::lstat((git_ / "index").c_str(), &st) != 0) return {};
  auto list = repository_.command({"ls-files", "--stage", "-z"});
  const sys::Fd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  list.out = nowhere.get();
  const auto listed = sys::run(list, {}, kLook);
  if (listed && listed->exit.ok() && st.st_size > 0) return {};
  TRY(put_aside(git_ / "index", "index"));
  (void)sys::remove_tree(git_ / "index.lock");  // nobody has survived to hold it
  const auto read = sys::run(repository_.command({"read-tree", "HEAD"}), {}, kLook);
  if (read && !read->exit.ok()) TRY(sys::run_ok(repository_.command({"read-tree", "--empty"})));
  done_.emplace_back("the index could not be read: what was staged is to be staged again");
  return {};
}

Result<> Mend::put_aside(const fs::path& what, std::string_view name) {
  TRY(sys::make_directories(aside_, 0700));
  return sys::rename_file(what, aside_ / (std::string(name) + "-" + random_hex(4)));
}

}  // namespace locki::endpoint
