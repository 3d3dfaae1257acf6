// What a command is: data from which parsing, help and completion are made, and the function that runs it. Values; no thread rules.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace locki::cli {

struct Context;

// What the user wrote, by the long name of an option ("force") or the name of a positional ("NAME").
class Arguments {
 public:
  bool flag(const std::string& name) const { return values_.contains(name); }
  // "" when it was not given.
  std::string value(const std::string& name) const;
  std::vector<std::string> values(const std::string& name) const;
  void set(const std::string& name, std::vector<std::string> values) { values_[name] = std::move(values); }

  // Of a command that passes arguments on: everything behind NAME (without the "--" between them), untouched.
  std::vector<std::string> rest;

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

struct Option {
  std::string flags;  // "--force" or "-n,--limit"; the long one last, which names it
  std::string value;  // what the value is called in help; empty: a flag without one
  std::string help;
  bool repeats = false;
  std::string name() const;  // "limit"
};

// What completion offers for a positional.
enum class Completes { kNothing, kSandboxes, kAgents, kShells };

struct Positional {
  std::string name;
  std::string help;
  bool required = false;
  Completes completes = Completes::kNothing;
  bool repeats = false;  // the last one only
};

struct Example {
  std::string line, meaning;
};

struct Command {
  std::string name;
  std::vector<std::string> aliases;
  std::string group;    // the heading in the overview; empty: not shown there
  std::string summary;  // one line, lower case, no full stop
  std::string description;
  std::vector<Positional> positionals;
  std::vector<Option> options;
  std::vector<Example> examples;
  bool json = false;         // takes --json
  bool passes_rest = false;  // one optional positional, then all else goes on untouched; options of ours stand before it
  std::string rest_name;     // of that, in help: "ARGS", "CMD"
  bool session = false;      // its exit status is the one of what ran inside; ours is 125 when we fail
  bool inside = false;       // speaks to incusd itself (Services::execution), or is the daemon: of the program that can
  std::vector<Command> children;
  std::function<Result<int>(Context&, const Arguments&)> run;

  bool answers_to(const std::string& word) const;
};

// A choice between commands of one level; nullptr when none answers.
const Command* find_command(const std::vector<Command>& commands, const std::string& word);

}  // namespace locki::cli
