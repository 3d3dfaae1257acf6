// The driver with the real VM, when LOCKI_TEST_VM names a directory with vmm/, vmlinuz, initrd.img and system.img. Minutes under TCG.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "sys/file.h"
#include "vm/qemu/jail.h"
#include "vm/qemu/supervisor.h"

namespace locki::vm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

long elapsed(steady_clock::time_point since) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - since).count();
}

class RealVm : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    const char* roots = std::getenv("LOCKI_TEST_VM");
    if (roots == nullptr) GTEST_SKIP() << "LOCKI_TEST_VM does not name a built VM";
    const fs::path at = roots;
    spec_.files = {at / "vmm", at / "vmlinuz", at / "initrd.img", at / "system.img", "test"};
    spec_.memory_mib = 2048;
    spec_.data_disk = dir_.path() / "data.img";
    spec_.credentials = {{"locki.test", "hush"}};
  }
  std::unique_ptr<VmDriver> driver() const {
    return make_qemu_driver({dir_.path() / "vm", fs::path(LOCKI_BINARY_DIR) / "libexec/locki/jail"});
  }
  static void show(const ProgressEvent& event) {
    if (!event.text.empty()) std::printf("  %s: %s\n", event.phase.c_str(), event.text.c_str());
  }
  // The guest's answer through the forward means that incusd serves TLS: any alert will do. Without a client hello it says nothing.
  static bool answers(VmDriver& vm) {
    const auto fd = vm.connect(kIncusPort);
    if (!fd || !sys::write_all(fd->get(), std::string("GET / HTTP/1.0\r\n\r\n"))) return false;
    const auto readable = sys::wait_readable(fd->get(), milliseconds(2000));
    std::uint8_t byte = 0;
    return readable && *readable && sys::read_some(fd->get(), &byte, 1).value_or(0) == 1;
  }
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
  VmSpec spec_;
};

TEST_F(RealVm, StartsServesIsAdoptedAndStops) {
  auto vm = driver();
  EXPECT_FALSE(*vm->adopt());
  auto since = steady_clock::now();
  const auto started = vm->start(spec_, show);
  ASSERT_TRUE(started) << started.error().describe();
  std::printf("  start %ld ms\n", elapsed(since));
  EXPECT_EQ(vm->start(spec_, show).error().kind(), ErrorKind::kExists);

  // The daemon is killed; another one takes over.
  vm = driver();
  ASSERT_TRUE(*vm->adopt());
  const auto status = vm->status();
  ASSERT_TRUE(status && status->pid > 0);
  EXPECT_EQ(status->state, State::kRunning);
  EXPECT_EQ(status->problem, "");
  EXPECT_EQ(status->memory_mib, 2048u);
  std::printf("  %s (%s)\n", std::string(to_string(status->accelerator)).c_str(), status->accelerator_note.c_str());
  const auto proc = *sys::read_file("/proc/" + std::to_string(status->pid) + "/status");
  for (const char* line : {"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"}) {
    EXPECT_NE(proc.find(line), std::string::npos) << line;
  }
  const auto command = *sys::read_file("/proc/" + std::to_string(status->pid) + "/cmdline");
  EXPECT_EQ(command.find("hush"), std::string::npos);

  auto gate = vm->listen(80);
  EXPECT_TRUE(gate) << gate.error().describe();
  while (vm->alive() && !answers(*vm) && elapsed(since) < 240'000) ::usleep(500'000);
  ASSERT_TRUE(vm->alive()) << vm->alive().error().describe();
  EXPECT_TRUE(answers(*vm));
  std::printf("  incusd answers after %ld ms; QEMU holds %s\n", elapsed(since), human_bytes(vm->status()->memory_in_use).c_str());

  since = steady_clock::now();
  const auto event = vm->exit_event();
  ASSERT_TRUE(event && vm->stop(milliseconds(60'000)));
  std::printf("  stop %ld ms\n", elapsed(since));
  EXPECT_TRUE(*sys::wait_readable(event->get(), milliseconds(0)));
  EXPECT_EQ(vm->status()->state, State::kBuilt);
  EXPECT_NE(vm->status()->last_exit.find("exited with status 0"), std::string::npos) << vm->status()->last_exit;
}

TEST_F(RealVm, AKernelThatPanicsIsToldWithItsWords) {
  spec_.accelerator = AcceleratorChoice::kTcg;
  spec_.files.initrd = dir_.path() / "initrd";
  ASSERT_TRUE(sys::write_file(spec_.files.initrd, ""));
  auto vm = driver();
  const auto started = vm->start(spec_, show);
  ASSERT_TRUE(started) << started.error().describe();
  const auto event = vm->exit_event();
  ASSERT_TRUE(event && *sys::wait_readable(event->get(), milliseconds(60'000)));
  const auto alive = vm->alive();
  ASSERT_FALSE(alive);
  EXPECT_NE(alive.error().message().find("panic"), std::string::npos) << alive.error().message();
}

TEST_F(RealVm, SleepsAndWakes) {
  spec_.accelerator = AcceleratorChoice::kTcg;
  auto vm = driver();
  auto since = steady_clock::now();
  ASSERT_TRUE(vm->start(spec_, show));
  while (vm->alive() && !answers(*vm) && elapsed(since) < 240'000) ::usleep(500'000);
  ASSERT_TRUE(answers(*vm));
  for (int round = 0; round < 2; ++round) {
    since = steady_clock::now();
    const auto suspended = vm->suspend("round " + std::to_string(round));
    ASSERT_TRUE(suspended) << suspended.error().describe();
    std::printf("  suspend %ld ms, %s\n", elapsed(since), human_bytes(suspended->bytes).c_str());
    EXPECT_EQ(vm->status()->state, State::kSuspended);
    EXPECT_FALSE(vm->alive());

    if (round == 1) vm = driver();  // another process wakes it
    since = steady_clock::now();
    const auto started = vm->start(spec_, show);
    ASSERT_TRUE(started) << started.error().describe();
    EXPECT_TRUE(started->resumed) << started->gave_up;
    EXPECT_EQ(started->label, "round " + std::to_string(round));
    std::printf("  resume %ld ms\n", elapsed(since));
    while (vm->alive() && !answers(*vm) && elapsed(since) < 20'000) ::usleep(5'000);
    EXPECT_TRUE(answers(*vm));
    std::printf("  incusd answers after %ld ms\n", elapsed(since));
    EXPECT_EQ(vm->status()->state, State::kRunning);
  }
  // Used up: after a kill it boots, and says nothing of a resume.
  ASSERT_TRUE(vm->suspend("last"));
  VmSpec other = spec_;
  other.memory_mib += 256;
  const auto booted = vm->start(other, show);
  ASSERT_TRUE(booted) << booted.error().describe();
  EXPECT_FALSE(booted->resumed);
  EXPECT_NE(booted->gave_up, "");
  ASSERT_TRUE(vm->kill());
  EXPECT_EQ(vm->status()->state, State::kBuilt);
}

TEST_F(RealVm, AKilledVmStartsAgain) {
  spec_.accelerator = AcceleratorChoice::kTcg;
  auto vm = driver();
  ASSERT_TRUE(vm->start(spec_, show));
  const pid_t qemu = vm->status()->pid;
  ::kill(qemu, SIGKILL);
  ASSERT_TRUE(*sys::wait_readable(vm->exit_event()->get(), milliseconds(5000)));
  EXPECT_NE(vm->alive().error().message().find("SIGKILL"), std::string::npos);
  EXPECT_TRUE(vm->start(spec_, show));
  EXPECT_TRUE(vm->kill());
  EXPECT_FALSE(*driver()->adopt());
}

TEST_F(RealVm, ABadDiskIsAnErrorOfTheStart) {
  spec_.accelerator = AcceleratorChoice::kTcg;
  spec_.files.kernel = dir_.path() / "kernel";
  ASSERT_TRUE(sys::write_file(spec_.files.kernel, "no kernel"));
  const auto started = driver()->start(spec_, show);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message().find("QEMU's last messages"), std::string::npos) << started.error().describe();
}

}  // namespace
}  // namespace locki::vm
