#include "sys/fault.h"

#include <signal.h>

#include <cstdlib>

namespace locki::sys {

void fault_point(std::string_view name) {
  const char* chosen = std::getenv("LOCKI_FAULT");
  if (chosen != nullptr && name == chosen) (void)::raise(SIGKILL);
}

}  // namespace locki::sys
