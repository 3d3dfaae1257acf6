// Non-blocking stream sockets for the gate: results as values, errno never leaks. No ownership beyond sys::Fd.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "gate/address.h"
#include "sys/fd.h"

namespace locki::gate {

struct Transfer {
  enum class State { kDone, kWouldBlock, kEnd, kBroken };
  State state = State::kBroken;
  std::size_t size = 0;
};
Transfer receive(int fd, std::span<char> into);
Transfer transmit(int fd, std::string_view bytes);

// Starts connecting. `done` says whether it stands already; else wait until writable and ask connect_error().
struct Connecting {
  sys::Fd fd;
  bool done = false;
};
Result<Connecting> start_connect(const Address& address, std::uint16_t port);
int connect_error(int fd);  // an errno value, 0 for connected

// accept4, non-blocking and close-on-exec. kUnavailable: nobody is waiting; kNoSpace: out of descriptors; else the
// connection was lost.
Result<sys::Fd> accept_nonblocking(int listener);

// The local address of a connection: what its client called. Nothing when it is no IP socket.
std::optional<Address> called_address(int fd);

void end_sending(int fd);     // FIN
void reset_on_close(int fd);  // the coming close sends RST: the peer must not take a broken stream for a finished one
void tune(int fd);            // no delay, keep-alive probes; ignored on sockets that have none

}  // namespace locki::gate
