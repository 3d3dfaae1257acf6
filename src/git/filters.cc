#include "git/filters.h"

#include <set>

namespace locki::git {
namespace {

using Environment = std::map<std::string, std::string>;

// Sections "filter.NAME" whose keys match the pattern.
Result<std::set<std::string>> sections(const Repository& repository, const char* pattern) {
  TRY_ASSIGN(const sys::Output output,
             sys::run(repository.common_command({"config", "-z", "--name-only", "--get-regexp", pattern})));
  if (!output.exit.ok() && output.exit.status != 1) {
    return fail(ErrorKind::kFailed, "git config " + output.exit.describe() + ": " + printable(trim(output.err)));
  }
  std::set<std::string> names;
  for (const std::string& key : split(output.out, '\0')) {
    // filter.<any bytes, dots too>.<word without dots>
    const auto first = key.find('.'), last = key.rfind('.');
    if (first != std::string::npos && last > first) names.insert(key.substr(0, last));
  }
  return names;
}

// One more than what is there already.
void set(Environment& environment, const std::string& key, const char* value) {
  const std::uint64_t number = parse_u64(environment["GIT_CONFIG_COUNT"]).value_or(0);
  environment["GIT_CONFIG_KEY_" + std::to_string(number)] = key;
  environment["GIT_CONFIG_VALUE_" + std::to_string(number)] = value;
  environment["GIT_CONFIG_COUNT"] = std::to_string(number + 1);
}

}  // namespace

Result<Environment> filter_switches(const Repository& repository) {
  TRY_ASSIGN(const auto names, sections(repository, R"(^filter\..*\.(clean|smudge|process|required)$)"));
  Environment environment{{"GIT_CONFIG_COUNT", "0"}};
  for (const std::string& name : names) {
    // An empty command counts as none (convert.c); a required filter without a command would be an error.
    set(environment, name + ".clean", "");
    set(environment, name + ".smudge", "");
    set(environment, name + ".process", "");
    set(environment, name + ".required", "false");
  }
  return environment;
}

Result<> disable_filters(const Repository& repository, sys::ProcessSpec& spec) {
  TRY_ASSIGN(const auto environment, filter_switches(repository));
  for (const auto& [key, value] : environment) spec.environment[key] = value;
  return {};
}

Result<> disable_merge_drivers(const Repository& repository, sys::ProcessSpec& spec) {
  TRY_ASSIGN(const auto names, sections(repository, R"(^merge\..*\.(driver|recursive)$)"));
  for (const std::string& name : names) {
    // A driver without a command is an error (ll-merge.c), so it gets git's own.
    set(spec.environment, name + ".driver", "git merge-file --marker-size=%L %A %O %B");
    set(spec.environment, name + ".recursive", "text");
  }
  return {};
}

}  // namespace locki::git
