// The far end of the mirror: one session with the host over two descriptors. Runs in the sandbox's container,
// single-threaded, until the host closes its side. The host never trusts it; it in turn expects anything of the agent:
// the directory may vanish, the disk fill, the branch change, at any moment.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace locki::endpoint {

struct EndpointOptions {
  std::string git = "/usr/bin/git";
  std::string cache_directory = "/var/cache/locki-endpoint";  // "" for no stat cache
  std::string aside = "/var/lib/locki-aside";                 // what a crash left unreadable of a repository
  std::string notes = "/run/locki-notes";                     // Note messages are appended here; "" for nowhere
  int lifeline = -1;                                  // a descriptor whose end ends the session as well; -1 for none
  std::chrono::milliseconds quiet{40};                // changes are reported after this long without new ones …
  std::chrono::milliseconds at_most{250};             // … or this long after the first
  std::chrono::milliseconds poll{10'000};             // full scans this often while not everything can be watched
  std::chrono::milliseconds dead_lock_after{10'000};  // dead_locks.h
};

// Returns when the host closed its side or said Bye, or the lifeline ended. SIGPIPE must be ignored.
Result<> serve(int in, int out, const EndpointOptions& options);

}  // namespace locki::endpoint
