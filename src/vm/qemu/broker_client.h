// Asking the jail's process 1 for sockets of its network namespace (qemu/jail/broker.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::vm {

// Connected to 127.0.0.1:port in there. kUnavailable when nothing listens or no jail runs; kPermission for a port it was not given.
Result<sys::Fd> broker_connect(const std::filesystem::path& socket, std::uint16_t port,
                               std::chrono::milliseconds timeout = std::chrono::milliseconds(5000));
// Listening on it, on every address in there. kExists when somebody does.
Result<sys::Fd> broker_listen(const std::filesystem::path& socket, std::uint16_t port);

}  // namespace locki::vm
