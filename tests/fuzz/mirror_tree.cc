// Fuzz target; what is checked: tests/unit/mirror/parser_targets.h.
#include <cstddef>
#include <cstdint>

#include "unit/mirror/parser_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  locki::mirror::testing::tree_target({reinterpret_cast<const char*>(data), size});
  return 0;
}
