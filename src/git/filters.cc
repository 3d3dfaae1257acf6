#include "git/filters.h"

#include <set>

namespace locki::git {

Result<std::map<std::string, std::string>> filter_switches(const Repository& repository) {
  TRY_ASSIGN(const sys::Output output,
             sys::run(repository.common_command(
                 {"config", "-z", "--name-only", "--get-regexp", R"(^filter\..*\.(clean|smudge|process|required)$)"})));
  if (!output.exit.ok() && output.exit.status != 1) {
    return fail(ErrorKind::kFailed, "git config " + output.exit.describe() + ": " + printable(trim(output.err)));
  }
  std::set<std::string> names;
  for (const std::string& key : split(output.out, '\0')) {
    // filter.<any bytes, dots too>.<word without dots>
    const auto first = key.find('.'), last = key.rfind('.');
    if (first != std::string::npos && last > first) names.insert(key.substr(0, last));
  }
  std::map<std::string, std::string> environment;
  int count = 0;
  const auto set = [&](const std::string& key, const char* value) {
    environment["GIT_CONFIG_KEY_" + std::to_string(count)] = key;
    environment["GIT_CONFIG_VALUE_" + std::to_string(count)] = value;
    ++count;
  };
  for (const std::string& name : names) {
    // An empty command counts as none (convert.c); a required filter without a command would be an error.
    set(name + ".clean", "");
    set(name + ".smudge", "");
    set(name + ".process", "");
    set(name + ".required", "false");
  }
  environment["GIT_CONFIG_COUNT"] = std::to_string(count);
  return environment;
}

Result<> disable_filters(const Repository& repository, sys::ProcessSpec& spec) {
  TRY_ASSIGN(const auto environment, filter_switches(repository));
  for (const auto& [key, value] : environment) spec.environment[key] = value;
  return {};
}

}  // namespace locki::git
