// The CLI's side of the daemon: connect to its unix socket, or start it and connect; one call at a time.
//
// Wire form: one JSON object a line. Request {"method","params"}; replies are any number of {"event":{kind,phase,text,fraction}} and
// then one {"result":…} or {"error":{kind,message,hint,contexts}}. Descriptors travel with the final line (SCM_RIGHTS).
// Not thread-safe; the descriptor is closed with the object, and the daemon goes on with what it does (a killed CLI loses nothing).
#pragma once

#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "daemon/channel.h"
#include "sys/fd.h"
#include "sys/xdg.h"

namespace locki::daemon {

struct Reply {
  json::object result;
  std::vector<sys::Fd> fds;
};

class Client {
 public:
  // Starts the daemon when none answers (watchman's way: connect, else spawn and retry with growing delay), and restarts one
  // of another version once it is idle. kUnavailable when it does not come up, with the tail of its log.
  static Result<Client> connect(const sys::Paths& paths, const sys::Installation& installation);
  // Only connects; kUnavailable when none runs.
  static Result<Client> connect_existing(const sys::Paths& paths);

  Result<Reply> call(std::string_view method, json::object params, const ProgressSink& progress = {});
  // True once the connection broke under a call: the daemon died. Another connect() starts a new one.
  bool lost() const { return lost_; }

 private:
  explicit Client(Channel channel) : channel_(std::move(channel)) {}
  Channel channel_;
  bool lost_ = false;
};

}  // namespace locki::daemon
