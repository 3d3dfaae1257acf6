// What ExecControl is made of: a queue of messages for the control connection and an eventfd that wakes the session. For incus/ only.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "incus/exec.h"
#include "sys/fd.h"

namespace locki::incus {

struct ExecControl::Impl {
  sys::Fd wake;  // readable while something is queued

  void push(std::string message);
  void resize(std::string message);  // only the newest size counts
  void cancel();
  // Empties the queue. `cancelled` stays true once it is.
  std::vector<std::string> take(bool& cancelled);

 private:
  void ring();
  std::mutex mutex_;
  std::string resize_;
  std::vector<std::string> queue_;
  bool cancelled_ = false;
};

}  // namespace locki::incus
