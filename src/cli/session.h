// One command in a sandbox with our descriptors as its own: a terminal when stdin and stdout are terminals, three byte-exact streams
// otherwise. Blocks until it has ended; uses threads of its own meanwhile.
//
// With a terminal: raw mode (given back whatever happens), window size, and the screen filter on everything that comes out. Without:
// nothing is changed on the way, but where one of the outputs is a terminal, that one is filtered. INT, TERM, HUP, QUIT, USR1 and USR2 go to the
// command; a third INT, or TERM or HUP that has not helped after three seconds, ends the session.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace locki::cli {

struct SessionRequest {
  std::vector<std::string> argv;
  std::string directory;
};

// The exit status of the command, 0..255. Errors are ours: the command could not be started, or the connection broke.
Result<int> run_session(Context& context, const OpenedSandbox& sandbox, const SessionRequest& request);

// What is asked of the sandbox; pure, for tests. `terminal`: with a terminal of that size.
incus::ExecRequest exec_request(const Context& context, const OpenedSandbox& sandbox, const SessionRequest& request, bool terminal);

// True when stdin and stdout are terminals.
bool wants_terminal(const Context& context);

// One line on what a session left behind, from the sandbox's entry in `sandbox.list`; "" when there is nothing to say. Pure.
std::string session_summary(const json::object& sandbox);
// What the network's rules refused since `begun` (a time as logs write it), with the commands that would allow it; "" for nothing. From the
// entries of `net.log`. Pure.
std::string refused_summary(const json::array& entries, const std::string& begun);

}  // namespace locki::cli
