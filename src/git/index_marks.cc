#include "git/index_marks.h"

#include "base/strings.h"
#include "git/filters.h"

namespace locki::git {
namespace {

constexpr std::size_t kMaxListing = 512 << 20;

Result<> update(const Repository& worktree, const char* how, const std::set<std::string>& paths) {
  if (paths.empty()) return {};
  std::string input;
  for (const std::string& path : paths) input += path + '\0';
  TRY_ASSIGN(const sys::Output done,
             sys::run(worktree.command({"update-index", how, "-z", "--stdin"}), input,
                      {.timeout = std::chrono::minutes(5)}));
  if (done.exit.ok()) return {};
  return fail(ErrorKind::kUnavailable,
              "the index of '" + worktree.toplevel().string() + "' cannot be marked: " + printable(trim(done.err)));
}

}  // namespace

Result<std::set<std::string>> mark_skipped(const Repository& worktree, const std::set<std::string>& wanted,
                                           const std::set<std::string>& ours) {
  if (wanted.empty() && ours.empty()) return std::set<std::string>{};
  TRY_ASSIGN(const std::string listing,
             sys::run_ok(worktree.command({"ls-files", "-z", "-t", "--full-name"}), {},
                         {.timeout = std::chrono::minutes(5), .max_output = kMaxListing}));
  // What differs from its file, by its stat: an entry that is as its file needs no mark, and the user's edits of it stay visible.
  auto compare = worktree.command({"diff-files", "-z", "--name-only", "--ignore-submodules=all"});
  TRY(disable_filters(worktree, compare));
  TRY_ASSIGN(const std::string differing,
             sys::run_ok(compare, {}, {.timeout = std::chrono::minutes(5), .max_output = kMaxListing}));
  std::set<std::string> differs;
  for (std::string& path : split(differing, '\0')) differs.insert(std::move(path));
  std::set<std::string> mark, unmark, now;
  // "<tag> <path>": S for the bit, in lower case where another bit is set as well.
  for (const std::string& line : split(listing, '\0')) {
    if (line.size() < 3) continue;
    const bool skipped = line[0] == 'S' || line[0] == 's';
    const std::string path = line.substr(2);
    if (wanted.contains(path)) {
      // A bit that the user set stays the user's.
      if (!skipped && differs.contains(path)) mark.insert(path);
      if (skipped ? ours.contains(path) : differs.contains(path)) now.insert(path);
    } else if (skipped && ours.contains(path)) {
      unmark.insert(path);
    }
  }
  TRY(update(worktree, "--skip-worktree", mark));
  TRY(update(worktree, "--no-skip-worktree", unmark));
  return now;
}

}  // namespace locki::git
