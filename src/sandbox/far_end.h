// The endpoint of one life of a mirror: runs it in the container through Incus, and gives the stream to it, which is either that command's stdin and
// stdout or a connection that it makes to the stream door. The command lives as long as this object, or until it ends by itself; the stream ends
// with it. cancel() from any thread; the rest belongs to one.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "incus/client.h"
#include "sandbox/stream_door.h"

namespace locki::sandbox {

// How a far end reaches the door.
struct StreamWay {
  gate::Address caller;  // the first of the sandbox's own addresses
  std::string where;     // "198.18.0.1:3129", inside
};

class FarEnd {
 public:
  // What it says besides goes to `log`, which is borrowed.
  FarEnd(std::string id, std::shared_ptr<incus::Client> client, std::string instance, int log);
  ~FarEnd() { end(); }
  FarEnd(const FarEnd&) = delete;
  FarEnd& operator=(const FarEnd&) = delete;

  // Each gives our end of the stream, and may be called again after it failed.
  Result<sys::Fd> through_exec(const std::vector<std::string>& endpoint);
  // kUnavailable: it does not come this way, so another one may be tried. Other errors: it does not run at all.
  Result<sys::Fd> by_dialling(std::vector<std::string> endpoint, StreamDoor& door, const StreamWay& way, std::chrono::milliseconds patience);

  void cancel();
  // Returns when it has ended.
  void end();

 private:
  void start(std::vector<std::string> argv, int in, int out);
  void run(const std::vector<std::string>& argv, int in, int out);
  Result<sys::Fd> keep_hand_on(sys::Fd stream);
  // Ends it and waits; how it ended, if one ran. Another one may be started then.
  std::optional<Result<incus::ExecResult>> stop();

  const std::string id_;
  const std::shared_ptr<incus::Client> client_;
  const std::string instance_;
  const int log_;

  // While a command runs; its thread's as well.
  std::unique_ptr<StreamDoor::Expected> expected_;
  sys::Pipe lifeline_;
  std::thread thread_;

  std::mutex mutex_;
  bool cancelled_ = false;
  std::unique_ptr<incus::ExecControl> control_;
  sys::Fd stream_;  // what is to end with the command
  std::optional<Result<incus::ExecResult>> ended_;
};

}  // namespace locki::sandbox
