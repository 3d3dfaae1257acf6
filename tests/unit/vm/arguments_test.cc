#include "vm/qemu/arguments.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "sys/file.h"
#include "vm/qemu/jail.h"

namespace locki::vm {
namespace {

// One word a line. Regenerated with LOCKI_ACCEPT=1.
void expect_golden(const std::vector<std::string>& words, const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(LOCKI_SOURCE_DIR) / "tests/unit/vm/golden" / name;
  const std::string now = join(words, "\n") + "\n";
  if (std::getenv("LOCKI_ACCEPT") != nullptr) {
    ASSERT_TRUE(sys::write_file(path, now));
  }
  const auto expected = sys::read_file(path);
  ASSERT_TRUE(expected) << expected.error().describe();
  EXPECT_EQ(now, *expected);
}

QemuConfig config(Accelerator accelerator) {
  return {.accelerator = accelerator, .cpus = 3, .memory_mib = 2048, .read_only_disks = {"image"}, .secrets = {"credential0", "credential1"},
          .guest_ports = {8443, 9000}, .qmp_fd = 10, .agent_fd = 11};
}

TEST(QemuArguments, Tcg) { expect_golden(qemu_arguments(config(Accelerator::kTcg)), "qemu-tcg.txt"); }
TEST(QemuArguments, Kvm) { expect_golden(qemu_arguments(config(Accelerator::kKvm)), "qemu-kvm.txt"); }
TEST(QemuArguments, Probe) { expect_golden(probe_arguments(), "qemu-probe.txt"); }

TEST(JailArguments, NameEveryFileAndNoSecret) {
  const JailSpec spec{.jail = "/l/jail", .root = "/r", .read_only = {{"kernel", "/c/k=1"}}, .read_write = {{"data", "/s/d"}},
                      .secrets = {{"credential0", "TOP SECRET"}}, .sockets = {"qmp.sock", "agent.sock"}, .kvm = true, .connect_ports = {8443},
                      .listen_ports = {{80, 443}}, .program = "/bin/p", .args = {"-x", "--"}};
  const auto process = jail_process(spec);
  EXPECT_EQ(process.program, "/l/jail");
  EXPECT_TRUE(process.environment.empty());
  EXPECT_TRUE(process.new_session);
  EXPECT_EQ(join(process.args, " "),
            "--root /r --read-only kernel=/c/k=1 --read-write data=/s/d --secret credential0=12 --kvm --connect 8443 --listen 80-443 "
            "--keep 10 --keep 11 -- /bin/p -x --");
}

}  // namespace
}  // namespace locki::vm
