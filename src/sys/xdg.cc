#include "sys/xdg.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::sys {

namespace {

fs::path from_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || value[0] != '/') return {};
  return fs::path(value).lexically_normal();
}

fs::path variable_or(const char* name, const fs::path& fallback) {
  fs::path value = from_variable(name);
  return value.empty() ? fallback : value;
}

Result<> check_private(const fs::path& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return fail_errno(errno, "cannot stat " + printable(path.native()));
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 022) != 0) {
    return fail(ErrorKind::kPermission, printable(path.native()) + " must be a directory that belongs to you and that nobody else can write",
                "look at it with: ls -ld " + printable(path.native()));
  }
  return {};
}

}  // namespace

Result<Paths> paths_from_environment() {
  Paths paths;
  paths.home = from_variable("HOME");
  if (paths.home.empty()) {
    const passwd* entry = ::getpwuid(::geteuid());
    if (entry == nullptr || entry->pw_dir == nullptr || entry->pw_dir[0] != '/') {
      return fail(ErrorKind::kUsage, "there is no home directory", "set HOME");
    }
    paths.home = entry->pw_dir;
  }
  paths.config = variable_or("XDG_CONFIG_HOME", paths.home / ".config") / "locki";
  paths.data = variable_or("XDG_DATA_HOME", paths.home / ".local/share") / "locki";
  paths.state = variable_or("XDG_STATE_HOME", paths.home / ".local/state") / "locki";
  paths.cache = variable_or("XDG_CACHE_HOME", paths.home / ".cache") / "locki";
  const fs::path runtime = from_variable("XDG_RUNTIME_DIR");
  paths.runtime = runtime.empty() ? paths.state / "run" : runtime / "locki";
  return paths;
}

Result<> make_paths(const Paths& paths) {
  for (const auto& path : {paths.data, paths.cache, paths.worktrees()}) TRY(make_directories(path, 0755));
  for (const auto& path : {paths.state, paths.runtime, paths.agent_home()}) {
    TRY(make_directories(path, 0700));
    TRY(check_private(path));
  }
  return {};
}

Result<Installation> find_installation() {
  std::error_code error;
  Installation found;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(ErrorKind::kFailed, "cannot find our own program: " + error.message());
  const bool in_libexec = self.parent_path().filename() == "locki" && self.parent_path().parent_path().filename() == "libexec";
  const fs::path above = self.parent_path().parent_path();
  const fs::path prefix = in_libexec ? above.parent_path() : above;
  found.program = prefix / "bin/locki";
  found.core = prefix / "libexec/locki/locki";
  found.libexec = prefix / "libexec/locki";
  found.share = prefix / "share/locki";
  if (!fs::exists(found.share / "recipes", error)) {
    return fail(ErrorKind::kNotFound, "locki's own files are missing: " + printable((found.share / "recipes").native()), "install locki again");
  }
  return found;
}

}  // namespace locki::sys
