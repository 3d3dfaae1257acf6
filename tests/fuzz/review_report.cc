// Fuzz target; what is checked: tests/unit/review/parser_targets.h.
#include <cstddef>
#include <cstdint>

#include "unit/review/parser_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  locki::review::testing::report_target({reinterpret_cast<const char*>(data), size});
  return 0;
}
