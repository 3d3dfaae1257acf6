#include "sandbox/net_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/strings.h"
#include "sandbox/net_wishes.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kHeader = "# Written by `locki net allow` and `locki net deny`; the first rule that matches decides. You may edit it.\n";
constexpr std::string_view kWishesHeader = "# What the repository's locki.toml wishes for, as of the commit at which this sandbox began.\n";
constexpr std::string_view kGrantsHeader =
    "# Wishes of this repository that were granted with `locki net grant`; remove a line to take it back.\n"
    "# Each holds in sandboxes whose base commit wishes for it; every rule of yours comes before it.\n";
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

std::string repository_hash(const Record& record) { return hash_of(record.git_dir).to_hex().substr(0, 12); }

Result<std::vector<gate::Rule>> read_rules(const fs::path& file, std::string_view source) {
  TRY_ASSIGN(const std::string text, read_if_there(file));
  return context(gate::parse_rules(text, source), "reading " + printable(file.native()));
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
  if (scope == Scope::kRepository) return paths_.config / "net.d" / (repository_hash(*record) + ".rules");
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

Result<UserRules> NetRules::rules_for(const Record* record) const {
  const std::scoped_lock guard(mutex_);
  UserRules rules;
  std::vector<gate::Rule>& all = rules.said;
  for (const Scope scope : kScopes) {
    if (scope != Scope::kAlways && record == nullptr) continue;
    if (scope == Scope::kOnce) {
      if (const auto found = once_.find(record->id); found != once_.end()) all = found->second;
      continue;
    }
    const fs::path file = file_of(scope, record);
    TRY_ASSIGN(const auto more, read_rules(file, source_of(scope, record)));
    all.insert(all.end(), more.begin(), more.end());
  }
  if (record == nullptr) return rules;
  TRY_ASSIGN(rules.granted, read_rules(wishes_file(*record), kGrantedSource));
  TRY_ASSIGN(const auto grants, read_rules(grants_file(*record), kGrantedSource));
  std::erase_if(rules.granted, [&](const gate::Rule& wish) { return !wish.allow || std::find(grants.begin(), grants.end(), wish) == grants.end(); });
  return rules;
}

fs::path NetRules::wishes_file(const Record& record) const { return paths_.state / "sandboxes" / record.id / "net.wishes"; }
fs::path NetRules::grants_file(const Record& record) const { return paths_.config / "net.d" / (repository_hash(record) + ".granted"); }

Result<> NetRules::set_wishes(const Record& record, const std::vector<gate::Rule>& wishes) {
  const std::scoped_lock guard(mutex_);
  std::string text(kWishesHeader);
  for (const auto& wish : wishes) text += wish.to_string() + "\n";
  const fs::path file = wishes_file(record);
  if (wishes.empty()) return sys::remove_tree(file);
  // Each start of the sandbox comes by here; what is there already need not reach the disk again.
  if (sys::read_file(file).value_or("") == text) return {};
  return sys::write_file(file, text, 0600);
}

Result<std::vector<gate::Rule>> NetRules::wishes_of(const Record& record) const {
  const std::scoped_lock guard(mutex_);
  return read_rules(wishes_file(record), kGrantedSource);
}

Result<> NetRules::grant(const Record& record, const std::vector<gate::Rule>& wishes) {
  const std::scoped_lock guard(mutex_);
  const fs::path file = grants_file(record);
  TRY_ASSIGN(std::string text, read_if_there(file));
  TRY_ASSIGN(const auto before, read_rules(file, kGrantedSource));
  if (text.empty()) text = std::string(kGrantsHeader) + "# For sandboxes of " + printable(record.git_dir, 4000) + "\n";
  if (!text.ends_with('\n')) text += '\n';
  for (const auto& wish : wishes)
    if (std::find(before.begin(), before.end(), wish) == before.end()) text += wish.to_string() + "\n";
  TRY(sys::make_directories(file.parent_path()));
  return sys::write_file(file, text, 0644);
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
