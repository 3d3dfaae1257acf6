// What locki knows about one AI coding agent. Data, read from share/agents/NAME.toml (table.h); no agent is named in code.
// Values; no thread rules.
//
// Strings of the data may hold placeholders: ${worktree}, ${home}, ${user}, ${sandbox}, ${branch}, and ${note} for the note that all agents
// share. render.h fills them in, in keys of JSON and TOML tables too; an unknown one is refused when the table is read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace locki::agents {

// How a file of ours meets one that is there already.
enum class FilePolicy {
  kReplace,  // ours stands: managed settings and the note
  kMerge,    // JSON: our members win, all others stay (merge.h); for files in which the agent keeps its own state
  kOnce,     // only where there is none
};

// A settings or note file to write into a sandbox before the agent runs.
struct FileTemplate {
  enum class Format { kText, kJson, kToml };
  std::string path;  // with placeholders; absolute once they are filled in
  std::uint32_t mode = 0644;
  FilePolicy policy = FilePolicy::kReplace;
  Format format = Format::kText;
  std::string text;   // kText
  json::object tree;  // kJson and kToml: a value that is written in that format
};

// A credential file that travels between a sandbox and the persistent home on the host. Nothing else of a sandbox's home does.
struct LoginFile {
  enum class Shape { kJsonObject, kText };
  std::string path;  // relative to the home directory, in both places
  Shape shape = Shape::kJsonObject;
  std::uint64_t max_bytes = 64 << 10;
  std::vector<std::string> required;  // kJsonObject: at least one of these members is there; empty: any object
};

struct Agent {
  std::string name;     // also the command: "claude"
  std::string title;    // "Claude Code"
  std::string package;  // of npm: "@anthropic-ai/claude-code"
  // What npm takes behind the @: a version, a range or a tag. Empty leaves the choice to npm, which from version 11 on prefers a version that
  // says it runs on the Node.js at hand; "latest" takes the newest whatever it says, which suits native programs.
  std::string version;
  // Optional packages that npm is not to fetch: variants for another C library, which Debian's npm 9 cannot tell apart.
  std::vector<std::string> skip;
  bool install_scripts = false;  // run the packages' install scripts (in the builder container)
  std::string program;  // its name in node_modules/.bin
  std::vector<std::string> bypass_args;   // come before the user's
  std::vector<std::string> version_args = {"--version"};  // print the version and exit
  std::vector<std::string> resume_args;   // go on with the last conversation of this directory
  std::vector<std::string> login_args;    // start a login
  std::map<std::string, std::string> environment;
  // Hosts it needs: "api.example.com", or with a leading dot a domain and all below it.
  std::vector<std::string> hosts;
  std::vector<FileTemplate> files;
  std::vector<LoginFile> logins;
};

}  // namespace locki::agents
