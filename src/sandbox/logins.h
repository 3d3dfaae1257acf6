// Agent logins: named credential files, and only those, travel between a sandbox's home and the persistent home on the host
// (DATA/home). Into a sandbox when a session begins; out of it, checked, while the session runs and when it ends.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "agents/agent.h"
#include "incus/client.h"

namespace locki::sandbox {

class Logins {
 public:
  explicit Logins(std::filesystem::path home) : home_(std::move(home)) {}
  // The host's version goes in where the sandbox has none, or an older one that this process put there.
  Result<> bring_in(incus::Client& client, const std::string& instance, const agents::Agent& agent);
  // What is new inside and passes check_login() is stored, 0600, atomically. What does not pass stays inside; the reason is logged.
  Result<> bring_out(incus::Client& client, const std::string& instance, const agents::Agent& agent);

 private:
  std::filesystem::path home_;
  std::mutex mutex_;
  std::map<std::string, std::string> last_;  // instance + path -> hash of the content that both sides had
};

}  // namespace locki::sandbox
