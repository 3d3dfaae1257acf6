// What is asked of libexec/locki/review, and its answer. The request comes from the daemon and is trusted; the answer is not, when it comes back: whoever
// parses a sandbox's bytes may have been taken over by them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "review/branch.h"

namespace locki::review {

struct Request {
  std::string git;   // the program
  std::string home;  // of the user
  std::filesystem::path worktree;  // of the sandbox, on the host
  // The commits that the branch is compared with: one, or where a merge has several bases all of them.
  std::vector<git::ObjectId> bases;
  git::ObjectId tip;
  bool uncommitted = true;         // the worktree, too
  std::vector<std::string> known;  // review_worktree()
  std::string held_rules, return_rules;                 // texts
  std::vector<std::string> hold, allow, report, ignore;  // of the user's config
};

json::object to_json(const Request& request);
Result<Request> request_from_json(const json::object& o);
json::object to_json(const Report& report);
Result<Report> report_from_json(const json::object& o);

// What is not understood finds nothing, so it is an error.
Result<Rules> rules_of(const Request& request);
// Confines this process for good, then looks. For main.cc.
Result<Report> answer(const Request& request);

// Runs PROGRAM on the request.
Result<Report> ask(const std::filesystem::path& program, const Request& request);

}  // namespace locki::review
