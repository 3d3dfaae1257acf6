#include "vm/qemu/ram_image.h"

#include <fmt/format.h>

#include <thread>

namespace locki::vm {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kCommand{10'000};
constexpr milliseconds kPoll{4};
// Two channels keep both cores of a small host busy; more bring nothing where the file is in the page cache anyway.
constexpr int kChannels = 2;

Result<> set_up(Qmp& qmp) {
  json::array capabilities;
  for (const char* name : {"mapped-ram", "multifd"}) capabilities.push_back(json::object{{"capability", name}, {"state", true}});
  TRY(qmp.execute("migrate-set-capabilities", {{"capabilities", std::move(capabilities)}}, kCommand));
  // The limit is for networks (128 MiB/s by itself).
  TRY(qmp.execute("migrate-set-parameters", {{"multifd-channels", kChannels}, {"max-bandwidth", std::int64_t{1} << 40}}, kCommand));
  return {};
}

Result<> wait_for_end(Qmp& qmp, milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  for (;;) {
    TRY_ASSIGN(const json::value answer, qmp.execute("query-migrate", {}, kCommand));
    const auto* object = answer.if_object();
    const std::string status = object != nullptr ? json::string_or(*object, "status") : "";
    if (status == "completed") return {};
    if (status == "failed" || status == "cancelled") {
      return fail(ErrorKind::kFailed, "QEMU: " + printable(json::string_or(*object, "error-desc", status), 300));
    }
    if (steady_clock::now() > deadline) return fail(ErrorKind::kTimeout, "QEMU does not get done with the memory image");
    std::this_thread::sleep_for(kPoll);
  }
}

// The file's name for QEMU.
Result<std::string> hand_over(Qmp& qmp, int file) {
  TRY_ASSIGN(const json::value answer, qmp.execute_with_fd("add-fd", file, {}, kCommand));
  const auto* object = answer.if_object();
  if (object == nullptr) return fail(ErrorKind::kProtocol, "QEMU does not say where it put a descriptor");
  TRY_ASSIGN(const std::int64_t set, json::get_int(*object, "fdset-id"));
  return fmt::format("file:/dev/fdset/{}", set);
}

}  // namespace

Result<> save_ram(Qmp& qmp, int file, milliseconds timeout) {
  TRY(set_up(qmp));
  TRY_ASSIGN(const std::string uri, hand_over(qmp, file));
  TRY(qmp.execute("stop", {}, kCommand));
  auto saved = qmp.execute("migrate", {{"uri", uri}}, kCommand).and_then([&](const json::value&) { return wait_for_end(qmp, timeout); });
  if (saved) return {};
  // Harmless when it has failed already.
  (void)qmp.execute("migrate_cancel", {}, kCommand);
  if (auto goes_on = continue_guest(qmp); !goes_on) return fail(std::move(goes_on).error().with_context("after a failed suspend: " + saved.error().describe()));
  return saved;
}

Result<> load_ram(Qmp& qmp, int file, milliseconds timeout) {
  TRY(set_up(qmp));
  TRY_ASSIGN(const std::string uri, hand_over(qmp, file));
  TRY(qmp.execute("migrate-incoming", {{"uri", uri}}, kCommand));
  return wait_for_end(qmp, timeout);
}

Result<> continue_guest(Qmp& qmp) {
  TRY(qmp.execute("cont", {}, kCommand));
  return {};
}

}  // namespace locki::vm
