// JSON lines over a unix socket, with descriptors on a line where needed; and errors as JSON. Used by both ends. Not thread-safe
// except that one thread may read while another writes.
#pragma once

#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "sys/fd.h"

namespace locki::daemon {

struct Line {
  json::object object;
  std::vector<sys::Fd> fds;  // those that arrived with it
};

class Channel {
 public:
  explicit Channel(sys::Fd socket) : socket_(std::move(socket)) {}
  int fd() const { return socket_.get(); }
  // kUnavailable at the end of the stream; kProtocol for a line over 8 MiB or one that is no JSON object.
  Result<Line> read();
  Result<> write(const json::object& object, const std::vector<int>& fds = {});

 private:
  sys::Fd socket_;
  std::string buffered_;
  std::vector<sys::Fd> pending_fds_;
};

json::object error_to_json(const Error& error);
Error error_from_json(const json::object& o);
json::object event_to_json(const ProgressEvent& event);
ProgressEvent event_from_json(const json::object& o);

}  // namespace locki::daemon
