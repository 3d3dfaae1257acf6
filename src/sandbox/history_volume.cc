#include "sandbox/history_volume.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "base/hash.h"
#include "sandbox/container.h"
#include "sandbox/provision.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

constexpr std::string_view kDevice = "history";
constexpr std::string_view kMount = "/opt/locki/history";

incus::Config history_device(const std::string& volume, bool writable) {
  incus::Config device{{"type", "disk"}, {"pool", std::string(kPool)}, {"source", volume}, {"path", std::string(kMount)}};
  if (!writable) device["readonly"] = "true";
  return device;
}

Result<std::pair<Hash, std::uint64_t>> hash_of_file(int file) {
  Blake2 hasher;
  std::uint64_t size = 0;
  std::array<std::uint8_t, 65536> piece{};
  for (;;) {
    const ssize_t got = ::pread(file, piece.data(), piece.size(), static_cast<off_t>(size));
    if (got < 0) return fail_errno(errno, "cannot read the packed history");
    if (got == 0) return std::pair(hasher.finish(), size);
    hasher.update(ByteView(piece.data(), static_cast<std::size_t>(got)));
    size += static_cast<std::uint64_t>(got);
  }
}

Result<> send(incus::Client& client, const std::string& instance, const std::filesystem::path& file) {
  TRY_ASSIGN(const sys::Fd content, sys::open_file(file, O_RDONLY));
  TRY_ASSIGN(const auto known, hash_of_file(content.get()));
  incus::ExecRequest request;
  request.argv = {std::string(kEndpoint), "--take-file", fmt::format("{}/{}", kMount, file.filename().native()), "--size", std::to_string(known.second), "--hash", known.first.to_hex()};
  sys::Fd messages(::memfd_create("locki-history", MFD_CLOEXEC));
  incus::ExecControl control;
  TRY_ASSIGN(const auto ended, client.exec(instance, request, {.in = content.get(), .out = -1, .err = messages.get()}, control));
  if (ended.status == 0) return {};
  ::lseek(messages.get(), 0, SEEK_SET);
  return fail(ErrorKind::kFailed, fmt::format("inside: status {}: {}", ended.status, printable(trim(sys::read_all(messages.get(), 65536).value_or("")), 1000)));
}

Result<> attach(incus::Client& client, const std::string& instance, const incus::Config& device) {
  return patiently("attaching a history to " + instance, [&] { return client.set_device(instance, kDevice, device); });
}

}  // namespace

Result<> detach_history(incus::Client& client, const std::string& instance) {
  return patiently("detaching the history of " + instance, [&] { return client.remove_device(instance, kDevice); });
}

Result<> fill_history(incus::Client& client, const std::string& volume, const git::HistoryPack& pack, const std::string& instance) {
  // Shifted: every sandbox has its own id range, and all of them read these files as root's.
  TRY(client.create_volume(kPool, {.name = volume, .description = "the history of a repository", .config = {{"security.shifted", "true"}}}));
  TRY(attach(client, instance, history_device(volume, true)));
  auto filled = [&]() -> Result<> {
    for (const auto& file : pack.files) {
      TRY(send(client, instance, file));
      sys::fault_point("history.filling");
    }
    return {};
  }();
  TRY(detach_history(client, instance));
  return filled;
}

Result<> bring_history(incus::Client& client, const std::string& volume, const std::string& instance) {
  TRY_ASSIGN(const auto there, client.volume(kPool, volume));
  if (!there) return fail(ErrorKind::kNotFound, "the history is no longer in the VM");
  TRY(attach(client, instance, history_device(volume, false)));
  incus::RunOptions options;
  options.timeout = std::chrono::minutes(10);  // where blocks cannot be shared they are copied
  auto brought = client.run_ok(instance, {std::string(kEndpoint), "--link-history", std::string(kMount), "--to", std::string(kHistoryInside)}, options);
  TRY(detach_history(client, instance));
  if (!brought) return fail(std::move(brought).error());
  return {};
}

}  // namespace locki::sandbox
