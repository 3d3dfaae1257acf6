#include "mirror/branch_move.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "sys/beneath.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kWaitForLock{250};  // a git command of everyday; who needs longer is waited for by trying again
constexpr milliseconds kBetweenLooks{10};
constexpr int kTries = 5;  // while somebody changes the index
constexpr std::string_view kPrefix = "locki-new-index.";

// What git leaves in the git directory for as long as it takes (gitrepository-layout(5), wt-status.c).
constexpr std::pair<const char*, const char*> kMarks[] = {
    {"MERGE_HEAD", "a merge"},     {"rebase-merge", "a rebase"},        {"rebase-apply", "a rebase or am"}, {"CHERRY_PICK_HEAD", "a cherry-pick"},
    {"REVERT_HEAD", "a revert"},   {"sequencer", "a cherry-pick or revert"}, {"BISECT_LOG", "a bisect"}};

std::optional<sys::FileStat> stat_of(const fs::path& path) {
  struct stat raw {};
  if (::lstat(path.c_str(), &raw) != 0) return std::nullopt;
  return sys::file_stat(raw);
}

// index.lock, from the moment it is made. Destroyed, it is taken away again.
class Lock {
 public:
  // One step makes the lock and fills it. Where a file system has no hard links, it is empty, and the content waits beside it.
  static Result<Lock> take(const fs::path& content, const fs::path& path) {
    const auto deadline = std::chrono::steady_clock::now() + kWaitForLock;
    for (;;) {
      if (::link(content.c_str(), path.c_str()) == 0) return Lock(path, true);
      if (errno != EEXIST) {
        const int error = errno;
        const bool no_links = error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK;
        if (!no_links) return fail_errno(error, "cannot lock the index");
        auto made = sys::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (made) return Lock(path, false);
        if (made.error().kind() != ErrorKind::kExists) return fail(std::move(made).error());
      }
      if (std::chrono::steady_clock::now() >= deadline) return fail(ErrorKind::kUnavailable, "somebody holds the lock '" + path.string() + "'");
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
  Lock(Lock&& other) noexcept : path_(std::exchange(other.path_, {})), filled_(other.filled_) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  // As git does it: the index is replaced, and the lock is gone with it.
  Result<> publish(const fs::path& content, const fs::path& index) {
    TRY(sys::rename_file(filled_ ? path_ : content, index));
    if (filled_) path_.clear();
    return {};
  }

 private:
  Lock(fs::path path, bool filled) : path_(std::move(path)), filled_(filled) {}
  fs::path path_;
  bool filled_;
};

}  // namespace

// The new index, and what it was made from.
class BranchMove::Prepared {
 public:
  explicit Prepared(fs::path at) : file(std::move(at)) {}
  Prepared(Prepared&& other) noexcept : file(std::exchange(other.file, {})), from(other.from), head(std::move(other.head)), lost(std::move(other.lost)) {}
  Prepared& operator=(Prepared&&) = delete;
  ~Prepared() {
    if (!file.empty()) ::unlink(file.c_str());
  }

  fs::path file;
  std::optional<sys::FileStat> from;  // the index then; absent: there was none
  std::string head, lost;
};

BranchMove::BranchMove(Command git, fs::path git_dir, std::string branch) : git_(std::move(git)), git_dir_(std::move(git_dir)), branch_(std::move(branch)) {}

std::string BranchMove::under_way() const {
  for (const auto& [file, what] : kMarks) {
    if (stat_of(git_dir_ / file)) return what;
  }
  return "";
}

// The file itself: whatever it says, and however refs are stored, it is another one when something else is checked out.
std::string BranchMove::head() const { return sys::read_file(git_dir_ / "HEAD", 4096).value_or(""); }

Result<bool> BranchMove::checked_out() const {
  TRY_ASSIGN(const sys::Output named, sys::run(git_({"symbolic-ref", "--quiet", "HEAD"})));
  return named.exit.ok() && trim(named.out) == "refs/heads/" + branch_;
}

Result<> BranchMove::read_tree(const fs::path& index, std::vector<std::string> args) const {
  args.insert(args.begin(), "read-tree");
  sys::ProcessSpec spec = git_(std::move(args));
  spec.environment["GIT_INDEX_FILE"] = index.string();
  TRY(sys::run_ok(spec, {}, {.timeout = std::chrono::minutes(5)}));
  return {};
}

Result<BranchMove::Prepared> BranchMove::prepare(const std::string& from, const std::string& to) const {
  static unsigned number = 0;
  Prepared made(git_dir_ / (std::string(kPrefix) + std::to_string(::getpid()) + "." + std::to_string(++number)));
  made.head = head();
  made.from = stat_of(git_dir_ / "index");
  const auto copy = [&]() -> Result<> {
    TRY(sys::copy_sparse(git_dir_ / "index", made.file));
    // Entries that are as young as their index are compared by content (read-cache.c, is_racy_timestamp): the copy is as old as the index was.
    const auto ns = made.from->mtime_ns;
    const timespec times[2] = {{0, UTIME_OMIT}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    if (::utimensat(AT_FDCWD, made.file.c_str(), times, 0) != 0) return fail_errno(errno, "cannot set the times of an index");
    return {};
  };
  if (from.empty() || !made.from) {
    TRY(read_tree(made.file, {to}));
    return made;
  }
  TRY(copy());
  // The two-tree merge of the index alone (-i: the files come by other ways): what is staged stays where the commits agree, marks stay
  // (skip-worktree), and it fails where they do not agree.
  if (read_tree(made.file, {"-i", "-m", from, to})) return made;
  TRY(copy());
  sys::ProcessSpec unmerged = git_({"ls-files", "--unmerged"});
  unmerged.environment["GIT_INDEX_FILE"] = made.file.string();
  if (const auto listed = sys::run_ok(unmerged); listed && !listed->empty())
    return fail(ErrorKind::kUnavailable, "there are conflicts in the index that are not resolved yet");
  TRY(read_tree(made.file, {"--reset", to}));
  made.lost = "what was staged did not fit the new commit; the files are unchanged, stage them again";
  return made;
}

Result<BranchMove::Moved> BranchMove::move(const std::string& from, const std::string& to, const Hooks& hooks) const {
  const auto busy = [this]() -> Result<> {
    const std::string what = under_way();
    return what.empty() ? Result<>() : fail(ErrorKind::kUnavailable, what + " is under way in '" + git_dir_.string() + "'");
  };
  bool noted = !hooks.note;
  const auto note = [&]() -> Result<> {
    if (!std::exchange(noted, true)) return hooks.note();
    return {};
  };
  for (int attempt = 0; attempt < kTries; ++attempt) {
    TRY(busy());
    TRY_ASSIGN(const bool here, checked_out());
    if (!here) {
      TRY(note());
      if (hooks.move) TRY(hooks.move());
      return Moved{};
    }
    TRY_ASSIGN(const Prepared prepared, prepare(from, to));
    TRY(note());
    sys::fault_point("index.prepared");
    TRY_ASSIGN(Lock lock, Lock::take(prepared.file, lock_file()));
    sys::fault_point("index.locked");
    const auto now = stat_of(git_dir_ / "index");
    const bool same = now.has_value() == prepared.from.has_value() && (!now || now->same_content(*prepared.from));
    if (!same || head() != prepared.head) continue;
    TRY(busy());
    if (hooks.move) TRY(hooks.move());
    if (auto published = lock.publish(prepared.file, git_dir_ / "index"); !published) {
      log::warning("the index does not follow its branch yet: {}", published.error().describe());
      return Moved{.lost = "", .behind = true};
    }
    sys::fault_point("index.replaced");
    return Moved{.lost = prepared.lost, .behind = false};
  }
  return fail(ErrorKind::kUnavailable, "the index in '" + git_dir_.string() + "' changes all the time");
}

void BranchMove::take_over(bool moved) const {
  const auto lock = stat_of(lock_file());
  std::error_code ignored;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(git_dir_, ignored)) {
    if (entry.path().filename().string().starts_with(kPrefix)) left.push_back(entry.path());
  }
  for (const fs::path& file : left) {
    // The lock is ours if it is the very file that was prepared.
    const auto prepared = stat_of(file);
    if (lock && prepared && prepared->same_object(*lock)) {
      if (moved) (void)sys::rename_file(lock_file(), git_dir_ / "index");
      else ::unlink(lock_file().c_str());
    }
    ::unlink(file.c_str());
  }
}

}  // namespace locki::mirror
