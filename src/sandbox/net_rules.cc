#include "sandbox/net_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kHeader = "# Written by `locki net allow` and `locki net deny`; the first rule that matches decides. You may edit it.\n";
constexpr std::array kScopes = {Scope::kOnce, Scope::kSandbox, Scope::kRepository, Scope::kAlways};

Result<std::string> read_if_there(const fs::path& file) {
  auto text = sys::read_file(file, 1 << 20);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::string();
  return text;
}

std::string source_of(Scope scope, const Record* record) {
  switch (scope) {
    case Scope::kOnce:
      return "once, for " + record->name;
    case Scope::kSandbox:
      return "sandbox " + record->name;
    case Scope::kRepository:
      return "repository " + record->repo;
    case Scope::kAlways:
      break;
  }
  return "locki net";
}

bool same_target(const gate::Rule& one, const gate::Rule& other) {
  return one.match == other.match && one.host == other.host && one.port == other.port && one.any_port == other.any_port;
}

}  // namespace

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::kOnce:
      return "once";
    case Scope::kSandbox:
      return "sandbox";
    case Scope::kRepository:
      return "repo";
    case Scope::kAlways:
      break;
  }
  return "always";
}

Result<Scope> parse_scope(std::string_view text) {
  for (const Scope scope : kScopes)
    if (text == to_string(scope)) return scope;
  return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no scope of a rule", printable(text, 40)), "one of: once, sandbox, repo, always");
}

fs::path NetRules::file_of(Scope scope, const Record* record) const {
  if (scope == Scope::kSandbox) return paths_.state / "sandboxes" / record->id / "net.rules";
  if (scope == Scope::kRepository) return paths_.config / "net.d" / (hash_of(record->git_dir).to_hex().substr(0, 12) + ".rules");
  return paths_.config / "net.rules";
}

Result<> NetRules::add(Scope scope, const Record* record, const gate::Rule& rule) {
  if (scope != Scope::kAlways && record == nullptr) return fail(ErrorKind::kUsage, "which sandbox is this rule for?", "give its name, or run this inside its worktree");
  const std::scoped_lock guard(mutex_);
  if (scope == Scope::kOnce) {
    auto& rules = once_[record->id];
    std::erase_if(rules, [&](const gate::Rule& each) { return same_target(each, rule); });
    rules.insert(rules.begin(), rule);
    rules.front().source = source_of(scope, record);
    return {};
  }
  const fs::path file = file_of(scope, record);
  TRY_ASSIGN(const std::string text, read_if_there(file));
  std::string out = std::string(kHeader);
  if (scope == Scope::kRepository) out += "# For sandboxes of " + printable(record->git_dir, 4000) + "\n";
  out += rule.to_string() + "\n";
  for (const auto& line : split_lines(text)) {
    // What a person has written stays, comments too.
    const auto old = gate::parse_rule(line, "");
    const bool replaced = (old && same_target(*old, rule)) || out.find(line + "\n") != std::string::npos;
    if (!replaced || trim(line).empty()) out += line + "\n";
  }
  TRY(sys::make_directories(file.parent_path()));
  return sys::write_file(file, out, scope == Scope::kSandbox ? 0600 : 0644);
}

Result<std::vector<gate::Rule>> NetRules::rules_for(const Record* record) const {
  const std::scoped_lock guard(mutex_);
  std::vector<gate::Rule> all;
  for (const Scope scope : kScopes) {
    if (scope != Scope::kAlways && record == nullptr) continue;
    if (scope == Scope::kOnce) {
      if (const auto found = once_.find(record->id); found != once_.end()) all = found->second;
      continue;
    }
    const fs::path file = file_of(scope, record);
    TRY_ASSIGN(const std::string text, read_if_there(file));
    TRY_ASSIGN(auto rules, context(gate::parse_rules(text, source_of(scope, record)), "reading " + printable(file.native())));
    all.insert(all.end(), rules.begin(), rules.end());
  }
  return all;
}

Result<std::optional<gate::Mode>> NetRules::mode_of(const Record& record) const {
  TRY_ASSIGN(const std::string text, read_if_there(paths_.state / "sandboxes" / record.id / "net.mode"));
  if (trim(text).empty()) return std::optional<gate::Mode>();
  TRY_ASSIGN(const gate::Mode mode, gate::parse_mode(trim(text)));
  return std::optional(mode);
}

Result<> NetRules::set_mode(const Record& record, std::optional<gate::Mode> mode) {
  const fs::path file = paths_.state / "sandboxes" / record.id / "net.mode";
  if (!mode) return sys::remove_tree(file);
  return sys::write_file(file, std::string(gate::to_string(*mode)) + "\n", 0600);
}

void NetRules::forget_once(const std::string& id) {
  const std::scoped_lock guard(mutex_);
  once_.erase(id);
}

}  // namespace locki::sandbox
