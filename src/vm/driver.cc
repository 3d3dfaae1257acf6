#include "vm/driver.h"

namespace locki::vm {

std::string_view to_string(State state) {
  switch (state) {
    case State::kBuilt: return "built";
    case State::kGolden: return "golden";
    case State::kRunning: return "running";
    case State::kSuspended: return "suspended";
  }
  return "?";
}

std::string_view to_string(Accelerator accelerator) { return accelerator == Accelerator::kKvm ? "kvm" : "tcg"; }

Result<AcceleratorChoice> accelerator_choice_from(std::string_view text) {
  if (text == "auto") return AcceleratorChoice::kAuto;
  if (text == "kvm") return AcceleratorChoice::kKvm;
  if (text == "tcg") return AcceleratorChoice::kTcg;
  return fail(ErrorKind::kUsage, "accelerator is \"" + printable(text) + "\"", "use \"auto\", \"kvm\" or \"tcg\"");
}

}  // namespace locki::vm
