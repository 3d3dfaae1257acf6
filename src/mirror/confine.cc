#include "mirror/confine.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "git/confine.h"
#include "mirror/staging.h"
#include "sys/file.h"
#include "sys/syscall_filter.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;

std::string identity(const fs::path& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return "none";
  return std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
}

bool lies_in(const fs::path& path, const fs::path& directory) {
  const auto relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

Result<git::Repository> repository_of(const StartSettings& settings) {
  return git::Repository::discover({settings.git, settings.home}, settings.worktree);
}

}  // namespace

ConfigFiles::ConfigFiles(std::vector<fs::path> paths) {
  for (fs::path& path : paths) {
    std::string now = identity(path);
    files_.emplace_back(std::move(path), std::move(now));
  }
}

bool ConfigFiles::replaced() const {
  return std::any_of(files_.begin(), files_.end(), [](const auto& file) { return identity(file.first) != file.second; });
}

std::vector<fs::path> staging_for(const StartSettings& settings, const git::Repository& repository) {
  return {fs::path(settings.state) / "staging", repository.git_dir() / "locki-staging", staging_beside(settings.worktree)};
}

Result<sys::FileAccess> access_for(const StartSettings& settings) {
  TRY(sys::make_directories(settings.state, 0700));
  TRY_ASSIGN(const auto repository, repository_of(settings));
  const fs::path common = repository.common_dir();
  TRY_ASSIGN(sys::FileAccess access, git::access_to_read(repository));
  access.change = {settings.worktree, settings.state, repository.git_dir()};
  // Not the directory itself: a configuration or a hook that is written there runs programs.
  TRY(sys::make_directories(common / "logs"));
  for (const char* part : {"objects", "refs", "logs", "reftable"}) access.change.push_back(common / part);
  // Now, because beside the worktree nothing can be made later.
  TRY_ASSIGN(const sys::Directory worktree, sys::Directory::open(settings.worktree));
  for (fs::path& there : Staging(staging_for(settings, repository), {}).prepare(worktree)) access.change.push_back(std::move(there));
  return access;
}

Result<Confinement> confine(const StartSettings& settings) {
  TRY_ASSIGN(const auto repository, repository_of(settings));
  TRY_ASSIGN(auto config, git::config_files(repository));
  // Where the whole directory may be read, a new file may be as well.
  std::erase_if(config, [&](const fs::path& file) {
    return lies_in(file, repository.common_dir()) || lies_in(file, fs::path(settings.home) / ".config/git");
  });
  Confinement done{.config = ConfigFiles(std::move(config))};
  TRY_ASSIGN(const auto access, access_for(settings));
  if (auto restricted = sys::restrict_files(access)) {
    done.files = true;
    log::info("confined by Landlock, version {}", sys::landlock_version());
  } else if (restricted.error().kind() == ErrorKind::kUnavailable) {
    log::warning("NOT confined to the worktree: {}", restricted.error().describe());
  } else {
    return fail(std::move(restricted).error());
  }
  TRY(sys::refuse_escapes());
  return done;
}

}  // namespace locki::mirror
