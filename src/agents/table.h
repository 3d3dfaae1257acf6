// Reads the agent table: every *.toml of the installed directory, then those of the user's. A file is one agent and named like it.
// A user's file of the same name overrides member by member (files and logins: by path); `disabled = true` removes the agent.
// Both directories belong to the user's side of the wall, so errors are told in full, with file and line. No state.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agents/agent.h"
#include "base/result.h"

namespace locki::agents {

class AgentTable {
 public:
  explicit AgentTable(std::vector<Agent> agents, std::string note);
  // By name, in their order; valid as long as the table.
  const std::vector<Agent>& all() const { return agents_; }
  // nullptr when unknown.
  const Agent* find(std::string_view name) const;
  // kUsage with the known names when unknown.
  Result<const Agent*> get(std::string_view name) const;
  // The note for agents, with placeholders (note.md, the user's before the installed one).
  const std::string& note() const { return note_; }

 private:
  std::vector<Agent> agents_;
  std::string note_;
};

// installed: Installation::share / "agents"; user: Paths::config / "agents" (may be absent).
// kUsage for what is wrong in a file (path, line, and what is allowed there); kNotFound when the installed directory is missing.
Result<AgentTable> load_table(const std::filesystem::path& installed, const std::filesystem::path& user);

}  // namespace locki::agents
