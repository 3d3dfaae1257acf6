#include "git/confine.h"

#include <set>

#include "sys/file.h"

namespace locki::git {
namespace {

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

}  // namespace

Result<std::vector<fs::path>> config_files(const Repository& repository) {
  const std::string& home = repository.program().home;
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

Result<sys::FileAccess> access_to_read(const Repository& repository) {
  sys::FileAccess access;
  access.execute.assign(std::begin(kPrograms), std::end(kPrograms));
  access.execute.emplace_back(repository.program().git);
  TRY_ASSIGN(const std::string programs, sys::run_ok(repository.command({"--exec-path"})));
  access.execute.emplace_back(trim(programs));
  access.read.assign(std::begin(kSystemFiles), std::end(kSystemFiles));
  access.read.push_back(repository.common_dir());
  access.read.push_back(fs::path(repository.program().home) / ".config/git");
  TRY_ASSIGN(const auto config, config_files(repository));
  access.read.insert(access.read.end(), config.begin(), config.end());
  std::set<fs::path> alternates;
  add_alternates(repository.common_dir() / "objects", alternates);
  access.read.insert(access.read.end(), alternates.begin(), alternates.end());
  access.use.assign(std::begin(kDevices), std::end(kDevices));
  return access;
}

}  // namespace locki::git
