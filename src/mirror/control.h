// What the daemon and a mirror worker (libexec/locki/mirror) say to each other: one JSON object a line over a unix
// stream socket. The stream to the far end is a second descriptor. Pure conversions; no thread rules.
//
//   daemon -> worker   {"start":{…StartSettings…}}                    first line, once
//                      {"request":"sync","id":7} (and "durable":true: on both disks) | {"request":"status","id":8} | {"request":"stop","id":9}
//                      {"request":"note","id":0,"text":"…"}           a line for whoever works inside
//                      {"request":"branches","id":7,"list":true} | {…,"names":["…"]}   (mirror/branch_link.h)
//   worker -> daemon   {"event":"ready"|…, "path":…, "text":…}
//                      {"reply":7,"ok":true,…} | {"reply":7,"error":{"kind":…,"message":…}}
//
// The worker ends with status 0 after `stop` or when the control socket closes, 1 after an error (a "failed" event says
// which), 3 after a violation (a "violation" event says which): a daemon restarts it after 1, with growing delay, and
// does not after 3 without telling the user. It may be killed at any time; the next one continues.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sys/process.h"

namespace locki::mirror {

inline constexpr int kStreamFd = 3;  // to the far end: one end of a unix socket pair, or the connection that it made
inline constexpr int kControlFd = 4;
// In the state directory, written by the daemon when it sends the clone: where the sandbox's history ends (git/shallow.h).
inline constexpr const char* kBoundaryFile = "shallow";
inline constexpr int kStatusFailed = 1;
inline constexpr int kStatusViolation = 3;

struct StartSettings {
  std::string sandbox;   // its id: letters, digits, '-', '_', '.', '/' as in refs/locki/<sandbox>/…
  std::string instance;  // changes when the sandbox's disk is a new one (container made anew): what was agreed before
                         // is then forgotten
  std::string cloned;    // the commit that this disk's clone was made from; "" when that is not known
  std::string worktree;  // on the host, absolute
  std::string inside;    // the same directory inside, absolute
  std::string state;     // directory of our own, 0700: base state, stat cache, history
  std::string branch;    // short name
  std::string git;       // absolute path of the host's git
  std::string home;      // for the user's git configuration
  std::string user_name, user_email;  // the author inside
  std::vector<std::string> include;   // ignored paths that travel all the same
  std::string hold_rules;             // the text of share/review/held.rules
  std::vector<std::string> hold, allow;  // the user's own patterns: held as well; not held
};
json::object to_json(const StartSettings& settings);
Result<StartSettings> start_settings_from_json(const json::object& o);

// What to run; the daemon keeps the other ends of both pairs. `log_fd` gets stderr.
sys::ProcessSpec worker_spec(const std::filesystem::path& libexec, int stream_fd, int control_fd, int log_fd);

struct Event {
  // ready        both sides have been read once and agree on the protocol
  // caught-up    nothing is left to carry
  // conflict     both sides changed `path`; the host's version stands, the agent's is in the history as `version`
  // merged       both sides changed `path`; the text merge went to both
  // held         `path` stays inside until the user lets it in (locki review); text says why, `version` of the history has the content
  // unheld       it no longer does: let in, removed or reverted
  // blocked      `path` cannot be carried for now and is tried again; text says why
  // unblocked    it was carried, or there is nothing to be carried any more
  // commit       the host branch moved to `version` by commits from inside
  // commit_in    commits of the host went in; `version` is their tip
  // rejected     commits from inside were refused; text says why; `version` is the tip refused
  // recovered    a side had fallen back to an older disk: what it had lost was put back; text says how much
  // replayed     both sides committed; those from inside were put on top of the host's, whose tip is `version`
  // diverged     both sides committed, and it does not go together; the host's branch stands, the agent's tip is kept at `path` (a ref); text
  //              says how to take it up
  // stuck        the branch cannot travel: git fails at one end; text says what with which commit; it is tried again
  // unstuck      what "stuck" or a waiting branch's "problem" said is over
  // problem      something did not work and will be tried again
  // violation    the far end broke the rules; the session is over
  // failed       the session is over for another reason
  std::string kind;
  std::string path;
  std::string version;
  std::string text;  // printable
};
json::object to_json(const Event& event);
Result<Event> event_from_json(const json::object& o);

}  // namespace locki::mirror
