#include "vm/qemu/accelerator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>

#include "base/hash.h"
#include "base/json.h"
#include "sys/file.h"
#include "vm/qemu/arguments.h"
#include "vm/qemu/jail.h"

namespace locki::vm {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::int64_t kBelieveRefusal = 7 * 24 * 3600;  // seconds

// Nothing when there is no answer for that key, or an unreadable one: then it is found anew.
std::optional<AcceleratorFound> remembered(const fs::path& cache, std::string_view key) {
  const auto text = sys::read_file(cache, 64 << 10);
  const auto object = text ? json::parse_object(*text) : fail(text.error());
  if (!object || json::string_or(*object, "key") != key) return std::nullopt;
  if (json::bool_or(*object, "kvm")) return AcceleratorFound{Accelerator::kKvm, ""};
  const auto age = static_cast<std::int64_t>(std::time(nullptr)) - json::int_or(*object, "time");
  if (age < 0 || age > kBelieveRefusal) return std::nullopt;
  return AcceleratorFound{Accelerator::kTcg, printable(json::string_or(*object, "reason"))};
}

Result<> remember(const fs::path& cache, std::string_view key, const std::string& reason) {
  const json::object object{{"key", key}, {"kvm", reason.empty()}, {"reason", reason}, {"time", static_cast<std::int64_t>(std::time(nullptr))}};
  return sys::write_file(cache, json::pretty(object), 0600);
}

}  // namespace

Result<AcceleratorFound> choose_accelerator(AcceleratorChoice choice, const fs::path& cache, std::string_view key, const ProbeBoot& boot,
                                            const ProgressSink& progress) {
  if (choice == AcceleratorChoice::kTcg) return AcceleratorFound{Accelerator::kTcg, ""};
  auto found = remembered(cache, key);
  // Whoever demands KVM has perhaps just repaired it.
  if (found && choice == AcceleratorChoice::kKvm && found->accelerator != Accelerator::kKvm) found.reset();
  if (!found) {
    Phase phase(progress, "vm.probe", "Trying hardware acceleration");
    TRY_ASSIGN(const std::string reason, boot());
    TRY(remember(cache, key, reason));
    found = AcceleratorFound{reason.empty() ? Accelerator::kKvm : Accelerator::kTcg, reason};
    if (!reason.empty() && choice == AcceleratorChoice::kAuto) {
      report(progress, {ProgressEvent::Kind::kWarning, "vm.probe", "no hardware acceleration (" + reason + "): the VM runs in software, several times slower", {}});
    }
  }
  if (choice == AcceleratorChoice::kKvm && found->accelerator != Accelerator::kKvm) {
    return fail(ErrorKind::kFailed, "KVM does not work here: " + found->note, "set accelerator = \"auto\" in the config to run without it");
  }
  return *found;
}

std::string accelerator_key(std::string_view files_id) {
  utsname names{};
  (void)::uname(&names);
  std::string model;
  if (const auto text = sys::read_file("/proc/cpuinfo", 16 << 20)) {
    for (const auto& line : split_lines(*text)) {
      if (line.empty()) break;  // the first processor says it all
      for (const std::string_view field : {"vendor_id", "cpu family", "model", "stepping", "microcode", "flags"}) {
        if (line.starts_with(field)) model += line + "\n";
      }
    }
  }
  // Whoever is let into the group `kvm` is not made to wait for a refusal to be forgotten.
  const bool openable = ::access("/dev/kvm", R_OK | W_OK) == 0;
  return hash_of(fmt::format("{}\n{}\n{}{}\n{}", names.release, names.version, model, files_id, openable)).to_hex();
}

Result<std::string> probe_kvm(const VmFiles& files, const fs::path& jail, const fs::path& run_directory, milliseconds deadline) {
  if (const auto kvm = sys::open_file("/dev/kvm", O_RDWR); !kvm) {
    if (kvm.error().kind() == ErrorKind::kPermission) {
      return "/dev/kvm is not ours to open: sudo usermod -aG kvm $USER, then log in again";
    }
    return "there is no /dev/kvm";
  }
  const JailSpec spec{.jail = jail, .root = files.vmm_root, .read_only = {{"kernel", files.kernel}}, .kvm = true,
                      .program = kQemuProgram, .args = probe_arguments()};
  const auto until = steady_clock::now() + deadline;
  std::string reason = fmt::format("the kernel did not say a word within {} s", deadline.count() / 1000);
  {
    TRY_ASSIGN(const Jailed jailed, start_jail(spec, run_directory));
    while (steady_clock::now() < until) {
      TRY_ASSIGN(const bool ended, jailed.wait(milliseconds(20)));
      const auto console = sys::read_file(run_directory / "console.log", 4 << 20);
      if (console && console->find("Linux version") != std::string::npos) {
        reason.clear();
        break;
      }
      if (!ended) continue;
      const auto messages = sys::read_file(run_directory / "messages.log", 4 << 20);
      const auto lines = messages ? split_lines(*messages) : std::vector<std::string>{};
      std::string_view last = lines.empty() ? std::string_view() : lines.back();
      if (constexpr std::string_view kName = "qemu-system-x86_64: "; last.starts_with(kName)) last.remove_prefix(kName.size());
      reason = last.empty() ? "QEMU gave up" : "QEMU gave up: " + printable(last, 160);
      break;
    }
    TRY(jailed.kill());
  }
  TRY(sys::remove_tree(run_directory));
  return reason;
}

}  // namespace locki::vm
