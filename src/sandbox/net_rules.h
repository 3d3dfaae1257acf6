// What the user has added to the network's rules, by scope. The newest rule of a scope comes first and stands; the narrower scope is asked
// before the wider one. Files are ours to write (docs/state-layout.md); the user's own config.toml is never touched. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gate/policy.h"
#include "sandbox/record.h"
#include "sys/xdg.h"

namespace locki::sandbox {

enum class Scope {
  kOnce,        // this sandbox, until it is stopped or the daemon ends: in memory only
  kSandbox,     // this sandbox, for its life
  kRepository,  // every sandbox of this repository
  kAlways       // every sandbox of this user
};
std::string_view to_string(Scope scope);
Result<Scope> parse_scope(std::string_view text);  // "once", "sandbox", "repo", "always"; kUsage

struct UserRules {
  std::vector<gate::Rule> said;     // by the user with `locki net`: they come first of all
  std::vector<gate::Rule> granted;  // wishes of the repository: behind everything that the user has said, here and in the config
};

class NetRules {
 public:
  explicit NetRules(const sys::Paths& paths) : paths_(paths) {}

  // `record` is needed for every scope but kAlways. An earlier rule for the same target in that scope goes.
  Result<> add(Scope scope, const Record* record, const gate::Rule& rule);
  // In their order, each with its scope as its source; without a record those of kAlways. kUsage for a file that holds something else.
  Result<UserRules> rules_for(const Record* record) const;

  // What the repository of this sandbox wishes for (net_wishes.h), read from the commit at which the sandbox began.
  Result<> set_wishes(const Record& record, const std::vector<gate::Rule>& wishes);
  Result<std::vector<gate::Rule>> wishes_of(const Record& record) const;
  // From now on they take effect in those sandboxes of the repository that wish for them.
  Result<> grant(const Record& record, const std::vector<gate::Rule>& wishes);
  // Of this sandbox alone; nullopt is the config's.
  Result<std::optional<gate::Mode>> mode_of(const Record& record) const;
  Result<> set_mode(const Record& record, std::optional<gate::Mode> mode);
  // What was allowed once is over.
  void forget_once(const std::string& id);

 private:
  std::filesystem::path file_of(Scope scope, const Record* record) const;
  std::filesystem::path wishes_file(const Record& record) const;
  std::filesystem::path grants_file(const Record& record) const;

  sys::Paths paths_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<gate::Rule>> once_;  // by sandbox id
};

}  // namespace locki::sandbox
