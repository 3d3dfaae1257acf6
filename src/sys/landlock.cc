#include "sys/landlock.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "sys/file.h"

namespace locki::sys {
namespace {

// From the kernel's include/uapi/linux/landlock.h; Debian 12's headers are older than what newer kernels can do.
struct RulesetAttr {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};
struct [[gnu::packed]] PathBeneathAttr {
  std::uint64_t allowed_access = 0;
  std::int32_t parent_fd = -1;
};
constexpr int kRulePathBeneath = 1;
constexpr unsigned kCreateRulesetVersion = 1;

constexpr std::uint64_t kExecute = 1U << 0, kWriteFile = 1U << 1, kReadFile = 1U << 2, kReadDir = 1U << 3, kRemoveDir = 1U << 4, kRemoveFile = 1U << 5,
                        kMakeDir = 1U << 7, kMakeRegular = 1U << 8, kMakeSymlink = 1U << 12, kRefer = 1U << 13, kTruncate = 1U << 14, kIoctlDevice = 1U << 15;
constexpr std::uint64_t kFirstVersion = (1U << 13) - 1;
constexpr std::uint64_t kBindTcp = 1U << 0, kConnectTcp = 1U << 1;
constexpr std::uint64_t kAbstractSockets = 1U << 0, kSignals = 1U << 1;
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;

RulesetAttr handled_by(int version) {
  RulesetAttr attr{.handled_access_fs = kFirstVersion};
  if (version >= 2) attr.handled_access_fs |= kRefer;
  if (version >= 3) attr.handled_access_fs |= kTruncate;
  if (version >= 4) attr.handled_access_net = kBindTcp | kConnectTcp;
  if (version >= 5) attr.handled_access_fs |= kIoctlDevice;
  if (version >= 6) attr.scoped = kAbstractSockets | kSignals;
  return attr;
}

// The structure grew; a kernel takes the size it knows.
std::size_t size_for(int version) {
  return version >= 6 ? sizeof(RulesetAttr) : version >= 4 ? 2 * sizeof(std::uint64_t) : sizeof(std::uint64_t);
}

Result<> allow(int ruleset, std::uint64_t handled, const std::filesystem::path& path, std::uint64_t access) {
  const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return {};
    return fail_errno(errno, "cannot open '" + path.string() + "'");
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno(errno, "cannot look at '" + path.string() + "'");
  if (!S_ISDIR(st.st_mode)) access &= kOfFiles;
  const PathBeneathAttr rule{.allowed_access = access & handled, .parent_fd = fd.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) != 0)
    return fail_errno(errno, "cannot allow '" + path.string() + "'");
  return {};
}

}  // namespace

int landlock_version() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<> restrict_files(const FileAccess& access) {
  const int version = landlock_version();
  if (version < kLeastLandlock) return fail(ErrorKind::kUnavailable, "this kernel has no Landlock, or an old one");
  const RulesetAttr attr = handled_by(version);
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, size_for(version), 0)));
  if (!ruleset) return fail_errno(errno, "cannot make a Landlock ruleset");
  constexpr std::uint64_t kRead = kReadFile | kReadDir;
  constexpr std::uint64_t kChange = kRead | kWriteFile | kTruncate | kRemoveDir | kRemoveFile | kMakeDir | kMakeRegular | kMakeSymlink | kRefer;
  const std::pair<const std::vector<std::filesystem::path>*, std::uint64_t> groups[] = {
      {&access.change, kChange}, {&access.execute, kRead | kExecute}, {&access.read, kRead}, {&access.use, kReadFile | kWriteFile | kIoctlDevice}};
  for (const auto& [paths, rights] : groups) {
    for (const auto& path : *paths) TRY(allow(ruleset.get(), attr.handled_access_fs, path, rights));
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "cannot give up new privileges");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return fail_errno(errno, "cannot restrict access to files");
  return {};
}

}  // namespace locki::sys
