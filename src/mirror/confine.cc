#include "mirror/confine.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "git/repository.h"
#include "sys/file.h"
#include "sys/syscall_filter.h"

namespace locki::mirror {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxAlternates = 100;

// What dynamic programs, git and the name service read; no directory of /etc as a whole: the worker may be root's.
constexpr const char* kSystemFiles[] = {"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/ld.so.conf",  "/etc/ld.so.conf.d", "/etc/nsswitch.conf", "/etc/passwd",
                                        "/etc/group",       "/etc/localtime",     "/etc/locale.alias", "/etc/alternatives", "/etc/gitconfig",     "/etc/gitattributes"};
constexpr const char* kPrograms[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

// Object stores that a repository borrows from (gitrepository-layout(5)), and those they borrow from.
void add_alternates(const fs::path& objects, std::set<fs::path>& found) {
  const auto text = sys::read_file(objects / "info" / "alternates", 1 << 20);
  if (!text) return;
  for (const std::string& line : split_lines(*text)) {
    if (line.empty() || line.starts_with('#') || found.size() >= kMaxAlternates) continue;
    const fs::path store = fs::path(line).is_absolute() ? fs::path(line) : objects / line;
    if (found.insert(store.lexically_normal()).second) add_alternates(store, found);
  }
}

// Every file that configuration came from, included ones too, and the files that it names for git to read.
Result<std::vector<fs::path>> config_files(const git::Repository& repository, const std::string& home) {
  std::set<fs::path> files{fs::path(home) / ".gitconfig", fs::path(home) / ".config/git/config", "/etc/gitconfig"};
  TRY_ASSIGN(const std::string listed, sys::run_ok(repository.command({"config", "--list", "--includes", "--show-origin", "--name-only", "-z"})));
  const auto fields = split(listed, '\0');
  for (std::size_t i = 0; i < fields.size(); i += 2) {
    constexpr std::string_view kFile = "file:";
    if (fields[i].starts_with(kFile)) files.insert((repository.toplevel() / fields[i].substr(kFile.size())).lexically_normal());
  }
  for (const char* key : {"core.excludesFile", "core.attributesFile"}) {
    TRY_ASSIGN(const sys::Output named, sys::run(repository.command({"config", "--type=path", "--get", key})));
    if (const auto path = trim(named.out); named.exit.ok() && path.starts_with('/')) files.emplace(path);
  }
  return std::vector<fs::path>(files.begin(), files.end());
}

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

Result<sys::FileAccess> access_for(const StartSettings& settings) {
  TRY(sys::make_directories(settings.state, 0700));
  TRY_ASSIGN(const auto repository, repository_of(settings));
  const fs::path common = repository.common_dir();
  sys::FileAccess access;
  access.change = {settings.worktree, settings.state, repository.git_dir()};
  // Not the directory itself: a configuration or a hook that is written there runs programs.
  TRY(sys::make_directories(common / "logs"));
  for (const char* part : {"objects", "refs", "logs", "reftable"}) access.change.push_back(common / part);
  access.execute.assign(std::begin(kPrograms), std::end(kPrograms));
  access.execute.emplace_back(settings.git);
  TRY_ASSIGN(const std::string programs, sys::run_ok(repository.command({"--exec-path"})));
  access.execute.emplace_back(trim(programs));
  access.read.assign(std::begin(kSystemFiles), std::end(kSystemFiles));
  access.read.push_back(common);
  access.read.push_back(fs::path(settings.home) / ".config/git");
  TRY_ASSIGN(const auto config, config_files(repository, settings.home));
  access.read.insert(access.read.end(), config.begin(), config.end());
  std::set<fs::path> alternates;
  add_alternates(common / "objects", alternates);
  access.read.insert(access.read.end(), alternates.begin(), alternates.end());
  access.use.assign(std::begin(kDevices), std::end(kDevices));
  return access;
}

Result<Confinement> confine(const StartSettings& settings) {
  TRY_ASSIGN(const auto repository, repository_of(settings));
  TRY_ASSIGN(auto config, config_files(repository, settings.home));
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
