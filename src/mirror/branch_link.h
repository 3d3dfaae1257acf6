// Branches besides the one that travels, brought out because the user asked: a list first, then one pack for those that are
// wanted, through the same quarantine and checks as commits of the sandbox's own branch, then one transaction beneath
// the sandbox's prefix (git/fetched_refs.h). Nothing is checked out. Part of a session; one thread; one request at a
// time. What the far end does wrong ends the request with a reason; what no honest one does the door has refused before.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "git/pack.h"
#include "mirror/control.h"
#include "mirror/door.h"
#include "mirror/stream.h"

namespace locki::mirror {

class BranchLink {
 public:
  using Clock = std::chrono::steady_clock;
  struct Context {
    Stream* stream;
    Door* door;
    wire::Id* last_id;
    std::function<void(std::int64_t request, json::object)> reply;
    std::function<void(std::int64_t request, const Error&)> refuse;
    // Commits of the host's that the sandbox probably has.
    std::function<std::vector<git::ObjectId>()> common;
  };
  BranchLink(git::Repository repository, const StartSettings& settings, DoorLimits limits, Context context);

  // {"request":"branches","id":…,"list":true} or {…,"names":[…]}; no names: all. Answered by Context::reply or refuse. The
  // answer also says which that were fetched are gone inside; deleting them is not for a worker that may not write packed refs.
  void begin(const json::object& line);
  bool owns(wire::Id id) const { return id == waiting_for_ || abandoned_.contains(id); }
  void branches(const wire::Branches& message);
  Result<> pack(const wire::Pack& pack);
  void data(const wire::Data& data);
  void done(const wire::Done& done);
  // The sandbox's disk has fallen back: what was fetched until now is not undone because a branch inside is older again.
  // On disk, because somebody may fetch only weeks later.
  Result<> note_fallen();
  // Gives up on a far end that does not answer.
  void tick(Clock::time_point now);

 private:
  // A branch that may come out, and what is here of it.
  struct Branch {
    std::string name, ref;
    git::ObjectId oid, here;
  };
  struct Request {
    std::int64_t id = 0;
    bool list = false;
    std::set<std::string> names;  // none: all
    Clock::time_point begun, heard;
    std::vector<Branch> branches;  // chosen
    std::vector<Branch> gone;      // here, and no longer inside
    json::array left_out;
    std::uint32_t more = 0, stashes = 0;
    std::vector<git::ObjectId> wants;
    std::optional<git::Quarantine> quarantine;
    std::optional<Error> failed;  // the rest of the pack goes nowhere
  };

  Result<> choose(const wire::Branches& message);
  Result<> fetch();
  Result<> accept();
  void answer();
  void end(const Error& error);
  bool fell_back(const Branch& branch) const;
  void leave_out(std::string_view name, const git::ObjectId& oid, std::string_view why);

  git::Repository repository_;
  std::string branch_, prefix_;
  std::filesystem::path fallen_file_;
  DoorLimits limits_;
  Context context_;
  std::optional<Request> request_;
  wire::Id waiting_for_ = 0;
  std::set<wire::Id> abandoned_;  // of requests that are over; what comes for them is thrown away
};

}  // namespace locki::mirror
