// The real parts behind Services: the daemon's client, incusd spoken to directly, the terminal's picker.
#pragma once

#include "cli/context.h"

namespace locki::cli {

// Both must outlive what is returned.
std::unique_ptr<Services> real_services(const sys::Paths& paths, const sys::Installation& installation);

}  // namespace locki::cli
