// Giving up access to files for good, for this process and everything it starts: Landlock (landlock(7), Linux 5.13 and newer). What is open
// already stays open. Call it while there is one thread: the others would not be restricted.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"

namespace locki::sys {

// Paths that are not there are left out. A directory stands for everything beneath it; a file for the file that is there now, not for one that
// takes its place later. Symlinks are followed.
struct FileAccess {
  std::vector<std::filesystem::path> change;   // read, write, make and remove files, directories and symlinks; never execute
  std::vector<std::filesystem::path> execute;  // read and execute
  std::vector<std::filesystem::path> read;
  std::vector<std::filesystem::path> use;  // devices: read and write what is there
};

// The version of Landlock that this kernel has; 0 for none (too old, or switched off at boot).
int landlock_version();
// Below it a file cannot be moved between directories once restricted, which git has to do.
inline constexpr int kLeastLandlock = 2;

// Everything else is refused from now on: files, and where the kernel can also TCP (version 4), and abstract unix sockets and signals to
// processes outside (version 6). Sets no_new_privs. kUnavailable below kLeastLandlock; then nothing was changed.
Result<> restrict_files(const FileAccess& access);

}  // namespace locki::sys
