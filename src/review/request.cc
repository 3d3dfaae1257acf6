#include "review/request.h"

#include "git/confine.h"
#include "sys/syscall_filter.h"

namespace locki::review {
namespace {

constexpr std::size_t kMaxAnswer = 256 << 20;
constexpr std::size_t kMaxFindings = 1'000'000;

json::array array_of(const std::vector<std::string>& items) {
  json::array out;
  for (const std::string& item : items) out.emplace_back(item);
  return out;
}

Result<std::vector<std::string>> strings_of(const json::object& o, std::string_view key) {
  TRY_ASSIGN(const json::array items, json::get_array(o, key));
  std::vector<std::string> out;
  for (const json::value& item : items) {
    if (!item.is_string()) return fail(ErrorKind::kProtocol, std::string(key) + " holds something else than text");
    out.emplace_back(item.get_string());
  }
  return out;
}

Result<> confine(const git::Repository& repository) {
  TRY_ASSIGN(auto access, git::access_to_read(repository));
  access.read.push_back(repository.toplevel());
  if (auto restricted = sys::restrict_files(access); !restricted && restricted.error().kind() != ErrorKind::kUnavailable) return restricted;
  return sys::refuse_escapes();
}

}  // namespace

json::object to_json(const Request& request) {
  return {{"git", request.git},
          {"home", request.home},
          {"worktree", request.worktree.native()},
          {"bases", array_of(request.bases)},
          {"tip", request.tip},
          {"uncommitted", request.uncommitted},
          {"known", array_of(request.known)},
          {"held_rules", request.held_rules},
          {"return_rules", request.return_rules},
          {"hold", array_of(request.hold)},
          {"allow", array_of(request.allow)},
          {"report", array_of(request.report)},
          {"ignore", array_of(request.ignore)}};
}

Result<Request> request_from_json(const json::object& o) {
  Request request;
  TRY_ASSIGN(request.git, json::get_string(o, "git"));
  TRY_ASSIGN(request.home, json::get_string(o, "home"));
  TRY_ASSIGN(request.worktree, json::get_string(o, "worktree"));
  TRY_ASSIGN(request.bases, strings_of(o, "bases"));
  TRY_ASSIGN(request.tip, json::get_string(o, "tip"));
  TRY_ASSIGN(request.uncommitted, json::get_bool(o, "uncommitted"));
  TRY_ASSIGN(request.known, strings_of(o, "known"));
  TRY_ASSIGN(request.held_rules, json::get_string(o, "held_rules"));
  TRY_ASSIGN(request.return_rules, json::get_string(o, "return_rules"));
  TRY_ASSIGN(request.hold, strings_of(o, "hold"));
  TRY_ASSIGN(request.allow, strings_of(o, "allow"));
  TRY_ASSIGN(request.report, strings_of(o, "report"));
  TRY_ASSIGN(request.ignore, strings_of(o, "ignore"));
  if (request.bases.empty()) return fail(ErrorKind::kUsage, "there is nothing to compare with");
  for (const git::ObjectId& base : request.bases)
    if (!git::is_object_id(base)) return fail(ErrorKind::kUsage, "a base is no commit");
  if (!git::is_object_id(request.tip)) return fail(ErrorKind::kUsage, "the tip is no commit");
  return request;
}

json::object to_json(const Report& report) {
  json::array findings;
  for (const Judged& finding : report.findings) findings.push_back(to_json(finding));
  return {{"findings", std::move(findings)}, {"changed", report.changed}, {"skipped", report.skipped}};
}

Result<Report> report_from_json(const json::object& o) {
  Report report;
  TRY_ASSIGN(const json::array findings, json::get_array(o, "findings"));
  TRY_ASSIGN(const std::int64_t changed, json::get_int(o, "changed"));
  TRY_ASSIGN(const std::int64_t skipped, json::get_int(o, "skipped"));
  if (findings.size() > kMaxFindings || changed < 0 || skipped < 0) return fail(ErrorKind::kProtocol, "the report is broken");
  report.changed = static_cast<std::size_t>(changed);
  report.skipped = static_cast<std::size_t>(skipped);
  for (const json::value& value : findings) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "a finding is no object");
    TRY_ASSIGN(Judged finding, judged_from_json(value.get_object()));
    report.findings.push_back(std::move(finding));
  }
  return report;
}

Result<Rules> rules_of(const Request& request) {
  Rules rules;
  TRY_ASSIGN(rules.held, context(HoldRules::parse(request.held_rules), "while reading the rules for held files"));
  TRY_ASSIGN(rules.ret, context(ReturnRules::parse(request.return_rules), "while reading the return gate's rules"));
  if (rules.held.size() == 0 || rules.ret.size() == 0) return fail(ErrorKind::kUsage, "there are no rules");
  for (const std::string& pattern : request.hold) TRY(rules.held.hold(pattern, "held by your own configuration"));
  for (const std::string& pattern : request.allow) TRY(rules.held.allow(pattern));
  for (const std::string& pattern : request.report) TRY(rules.ret.report(pattern));
  for (const std::string& line : request.ignore) TRY(rules.ret.ignore(line));
  return rules;
}

Result<Report> answer(const Request& request) {
  TRY_ASSIGN(const Rules rules, rules_of(request));
  TRY_ASSIGN(const auto repository, git::Repository::discover({request.git, request.home}, request.worktree));
  TRY(context(confine(repository), "while confining the reader"));
  std::vector<Report> reports;
  for (const git::ObjectId& base : request.bases) {
    TRY_ASSIGN(Report at_tip, review_commits(repository, base, request.tip, rules));
    TRY_ASSIGN(reports.emplace_back(), review_history(repository, base, request.tip, at_tip, rules));
    reports.push_back(std::move(at_tip));
    if (!request.uncommitted) continue;
    TRY_ASSIGN(reports.emplace_back(), review_worktree(repository, base, request.known, rules));
  }
  return merged(std::move(reports));
}

Result<Report> ask(const std::filesystem::path& program, const Request& request) {
  sys::ProcessSpec spec{.program = program.native(), .environment = sys::clean_environment(), .parent_death_signal = SIGKILL};
  TRY_ASSIGN(const std::string out, sys::run_ok(spec, json::serialize(to_json(request)), {.timeout = std::chrono::minutes(15), .max_output = kMaxAnswer}));
  TRY_ASSIGN(const json::object o, json::parse_object(out, kMaxAnswer));
  return report_from_json(o);
}

}  // namespace locki::review
