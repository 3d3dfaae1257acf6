// Which accelerator works here. /dev/kvm may exist and still not work (an assertion, or a guest that hangs), so the answer is found by
// booting the VM's own kernel in the jail, with a deadline, and remembered. Only `-cpu host` is ever tried with KVM.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "vm/driver.h"

namespace locki::vm {

struct AcceleratorFound {
  Accelerator accelerator = Accelerator::kTcg;
  std::string note;  // why it is not KVM, for people; empty when it is or when TCG was asked for
};

// Tries once: nothing when KVM works, else why not.
using ProbeBoot = std::function<Result<std::string>()>;

// `key` names what the answer depends on; `cache` is a file of ours. A refusal is believed for a week, a success for ever. Tells through
// `progress` once, when a probe was made and failed. kFailed when the config demands KVM and there is none.
Result<AcceleratorFound> choose_accelerator(AcceleratorChoice choice, const std::filesystem::path& cache, std::string_view key,
                                            const ProbeBoot& boot, const ProgressSink& progress);

// The host's kernel release, its CPU model, whether we may open /dev/kvm, and the VMM's id.
std::string accelerator_key(std::string_view files_id);

// Boots the kernel in the jail and waits for its first words. The run directory is made and removed again.
Result<std::string> probe_kvm(const VmFiles& files, const std::filesystem::path& jail, const std::filesystem::path& run_directory,
                              std::chrono::milliseconds deadline = std::chrono::seconds(10));

}  // namespace locki::vm
