// What the kernel lets this process have.
#pragma once

#include <cstddef>

namespace locki::sys {

// As many descriptors as there may be, up to `wanted`; gives how many that are, 0 when that cannot be told. Children inherit it.
std::size_t raise_descriptor_limit(std::size_t wanted);

}  // namespace locki::sys
