#include "endpoint/init_clone.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/strings.h"
#include "endpoint/history.h"
#include "mirror/door.h"
#include "sys/file.h"

namespace locki::endpoint {
namespace {

namespace fs = std::filesystem;

// Present exactly while the clone is being made.
fs::path unfinished_mark(const std::string& root) { return fs::path(root) / ".git" / "locki-unfinished"; }

bool is_there(const fs::path& path) {
  struct stat data {};
  return ::lstat(path.c_str(), &data) == 0;
}

// What an attempt that was cut short had got may belong to a branch that has been reset since: nobody is to see it.
Result<> forget_attempt(const std::string& root) {
  for (const char* part : {"packed-refs", "refs", "objects"}) TRY(sys::remove_tree(fs::path(root) / ".git" / part));
  return {};
}

Result<> install_helpers(const fs::path& directory) {
  if (directory.empty()) return {};
  TRY(sys::make_directories(directory));
  if (!is_there(directory / "git-remote-locki")) TRY(sys::write_file(directory / "git-remote-locki", remote_helper_script(), 0755));
  if (!is_there(directory / "gh")) TRY(sys::write_file(directory / "gh", gh_script(), 0755));
  return {};
}

Result<> take_hostname(const std::string& name) {
  if (name.empty()) return {};
  if (::sethostname(name.data(), name.size()) != 0) return fail_errno(errno, "cannot set the host name");
  return sys::write_file("/etc/hostname", name + "\n", 0644);
}

// Before the first object: a git that looks at them must not miss the parents behind the boundary.
Result<> take_boundary(const InitClone& clone) {
  const fs::path shallow = fs::path(clone.repository.root) / ".git" / "shallow";
  if (clone.boundary_file.empty()) return sys::remove_tree(shallow);  // of an attempt that was cut short
  TRY_ASSIGN(const std::string text, sys::read_file(clone.boundary_file));
  const auto boundary = split_lines(text);
  if (!std::all_of(boundary.begin(), boundary.end(), mirror::is_object_id)) return fail(ErrorKind::kUsage, "the boundary holds what is no object id");
  return sys::write_file(shallow, text);
}

}  // namespace

Result<> init_clone(int pack, const InitClone& clone) {
  const RepositoryOptions& options = clone.repository;
  if (!clone.oid.empty() && !mirror::is_object_id(clone.oid)) return fail(ErrorKind::kUsage, "not an object id");
  Repository repository(options);
  const bool before = repository.exists();
  if (before && !is_there(unfinished_mark(options.root)))
    return fail(ErrorKind::kExists, "there is a repository already: " + options.root);
  TRY(sys::make_directories(options.root));
  if (!before) {
    TRY(sys::make_directories(fs::path(options.root) / ".git"));
    TRY(sys::write_file(unfinished_mark(options.root), ""));
  } else {
    TRY(forget_attempt(options.root));
  }
  TRY(take_hostname(clone.hostname));
  TRY(repository.make(true));
  TRY(install_helpers(clone.helper_directory));
  TRY(take_boundary(clone));
  if (!clone.history.empty()) TRY(adopt_history(clone.history, fs::path(options.root) / ".git"));
  if (!clone.oid.empty()) {
    sys::ProcessSpec unpack = repository.command({"index-pack", "--stdin", "--fix-thin"});
    unpack.in = pack;
    TRY(context(sys::run_ok(unpack, {}, {.timeout = std::chrono::hours(1)}), "while unpacking the commits")
            .map([](const std::string&) {}));
    TRY_ASSIGN(const HeadInfo now, repository.head());
    TRY(repository.move_branch(clone.oid, now.oid));
    TRY(repository.check_out(clone.oid));
  }
  TRY(sys::remove_tree(unfinished_mark(options.root)));
  return clone.boundary_file.empty() ? Result<>() : sys::remove_tree(clone.boundary_file);
}

}  // namespace locki::endpoint
