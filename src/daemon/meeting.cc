#include "daemon/meeting.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace locki::daemon {

std::string build_id(const std::filesystem::path& program) {
  struct stat st {};
  if (::stat(program.c_str(), &st) != 0) return LOCKI_VERSION;
  return fmt::format("{}-{:x}-{:x}.{:x}", LOCKI_VERSION, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

std::string own_build() { return build_id("/proc/self/exe"); }

}  // namespace locki::daemon
