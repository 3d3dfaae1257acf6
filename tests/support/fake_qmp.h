// QEMU's end of a QMP connection over a socket pair: a thread that greets and then answers each command from a script.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "base/json.h"
#include "sys/fd.h"

namespace locki::test {

class FakeQmp {
 public:
  // Gets each command (the greeting's qmp_capabilities too) and returns the lines to send; "ID" in them becomes the command's id. An empty
  // answer hangs up.
  using Script = std::function<std::string(const std::string& command)>;
  explicit FakeQmp(Script script, std::string greeting = R"({"QMP": {"version": {}, "capabilities": ["oob"]}})" "\r\n");
  ~FakeQmp();
  sys::Fd client() { return std::move(client_); }  // once

  // {"return": {}} for everything.
  static std::string fine(const std::string&) { return "{\"return\": {}, \"id\": ID}\r\n"; }

 private:
  void serve(const Script& script, const std::string& greeting);
  sys::Fd client_, server_;
  std::thread thread_;
};

}  // namespace locki::test
