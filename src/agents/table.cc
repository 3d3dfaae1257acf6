#include "agents/table.h"

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "agents/placeholders.h"
#include "agents/validate.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::agents {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

// ---- TOML values with errors that name file and line ------------------------------------------------------------

tl::unexpected<Error> wrong(const fs::path& file, const toml::node& node, std::string_view message) {
  return fail(ErrorKind::kUsage, fmt::format("{}:{}: {}", file.string(), node.source().begin.line, message));
}

Result<std::string> as_string(const fs::path& file, std::string_view key, const toml::node& node) {
  if (!node.is_string()) return wrong(file, node, fmt::format("{} must be a string", key));
  return std::string(node.as_string()->get());
}

Result<bool> as_bool(const fs::path& file, std::string_view key, const toml::node& node) {
  if (!node.is_boolean()) return wrong(file, node, fmt::format("{} must be true or false", key));
  return node.as_boolean()->get();
}

Result<std::vector<std::string>> as_strings(const fs::path& file, std::string_view key, const toml::node& node) {
  const auto* list = node.as_array();
  if (list == nullptr) return wrong(file, node, fmt::format("{} must be a list of strings", key));
  std::vector<std::string> out;
  for (const auto& item : *list) {
    TRY_ASSIGN(auto text, as_string(file, key, item));
    out.push_back(std::move(text));
  }
  return out;
}

Result<json::value> as_json(const fs::path& file, const toml::node& node) {
  if (const auto* table = node.as_table()) {
    json::object out;
    for (const auto& [key, item] : *table) {
      TRY_ASSIGN(out[std::string(key.str())], as_json(file, item));
    }
    return out;
  }
  if (const auto* list = node.as_array()) {
    json::array out;
    for (const auto& item : *list) {
      TRY_ASSIGN(auto value, as_json(file, item));
      out.push_back(std::move(value));
    }
    return out;
  }
  if (const auto* text = node.as_string()) return json::value(boost::json::string_view(text->get()));
  if (const auto* number = node.as_integer()) return json::value(number->get());
  if (const auto* real = node.as_floating_point()) return json::value(real->get());
  if (const auto* truth = node.as_boolean()) return json::value(truth->get());
  return wrong(file, node, "dates have no place here");
}

// Reads the members of a table one by one; finish() refuses what nobody asked for.
class Reader {
 public:
  Reader(const fs::path& file, const toml::table& table, std::string_view where) : file_(file), table_(table), where_(where) {}

  const toml::node* take(std::string_view key) {
    taken_.insert(std::string(key));
    return table_.get(key);
  }
  Result<> string(std::string_view key, std::string& out) {
    if (const auto* node = take(key)) {
      TRY_ASSIGN(out, as_string(file_, key, *node));
    }
    return {};
  }
  Result<> strings(std::string_view key, std::vector<std::string>& out) {
    if (const auto* node = take(key)) {
      TRY_ASSIGN(out, as_strings(file_, key, *node));
    }
    return {};
  }
  Result<> boolean(std::string_view key, bool& out) {
    if (const auto* node = take(key)) {
      TRY_ASSIGN(out, as_bool(file_, key, *node));
    }
    return {};
  }
  Result<> finish() const {
    for (const auto& [key, node] : table_) {
      if (taken_.contains(key.str())) continue;
      const std::string known = join(std::vector<std::string>(taken_.begin(), taken_.end()), ", ");
      return fail(ErrorKind::kUsage,
                  fmt::format("{}:{}: {} has no member \"{}\"", file_.string(), key.source().begin.line, where_, printable(key.str(), 60)),
                  "known members: " + known);
    }
    return {};
  }

 private:
  const fs::path& file_;
  const toml::table& table_;
  std::string_view where_;
  std::set<std::string, std::less<>> taken_;
};

// ---- The parts of an agent ---------------------------------------------------------------------------------------

Result<std::uint32_t> as_mode(const fs::path& file, const toml::node& node) {
  TRY_ASSIGN(const std::string text, as_string(file, "mode", node));
  const bool octal = text.size() == 4 && text[0] == '0' && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
  if (!octal) return wrong(file, node, "mode must be four octal digits in quotes, like \"0644\"");
  return static_cast<std::uint32_t>((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
}

Result<FileTemplate> read_file_template(const fs::path& file, const toml::table& table) {
  Reader reader(file, table, "files");
  FileTemplate out;
  TRY(reader.string("path", out.path));
  if (const auto* mode = reader.take("mode")) {
    TRY_ASSIGN(out.mode, as_mode(file, *mode));
  }
  std::string policy = "replace";
  TRY(reader.string("policy", policy));
  if (policy == "replace") {
    out.policy = FilePolicy::kReplace;
  } else if (policy == "merge") {
    out.policy = FilePolicy::kMerge;
  } else if (policy == "once") {
    out.policy = FilePolicy::kOnce;
  } else {
    return wrong(file, table, "policy must be \"replace\", \"merge\" or \"once\"");
  }
  int contents = 0;
  if (const auto* text = reader.take("text")) {
    TRY_ASSIGN(out.text, as_string(file, "text", *text));
    ++contents;
  }
  for (const auto& [key, format] : {std::pair("json", FileTemplate::Format::kJson), std::pair("toml", FileTemplate::Format::kToml)}) {
    const auto* node = reader.take(key);
    if (node == nullptr) continue;
    if (!node->is_table()) return wrong(file, *node, fmt::format("{} must be a table", key));
    TRY_ASSIGN(auto tree, as_json(file, *node));
    out.tree = std::move(tree.get_object());
    out.format = format;
    ++contents;
  }
  TRY(reader.finish());
  if (contents != 1) return wrong(file, table, "a file has exactly one of text, json and toml");
  if (auto checked = check_file(out); !checked) return wrong(file, table, checked.error().message());
  return out;
}

Result<LoginFile> read_login(const fs::path& file, const toml::table& table) {
  Reader reader(file, table, "logins");
  LoginFile out;
  TRY(reader.string("path", out.path));
  std::string shape = "json";
  TRY(reader.string("shape", shape));
  if (shape != "json" && shape != "text") return wrong(file, table, "shape must be \"json\" or \"text\"");
  out.shape = shape == "json" ? LoginFile::Shape::kJsonObject : LoginFile::Shape::kText;
  TRY(reader.strings("required", out.required));
  if (const auto* size = reader.take("max_bytes")) {
    const auto* number = size->as_integer();
    if (number == nullptr || number->get() < 1 || number->get() > 1 << 20) return wrong(file, *size, "max_bytes must be 1 to 1048576");
    out.max_bytes = static_cast<std::uint64_t>(number->get());
  }
  TRY(reader.finish());
  if (auto checked = check_login_file(out); !checked) return wrong(file, table, checked.error().message());
  return out;
}

// Reads a list of tables and puts each over the one with the same path, or at the end.
template <class T, class Read>
Result<> overlay_by_path(const fs::path& file, std::string_view key, const toml::node* node, std::vector<T>& onto, Read read) {
  if (node == nullptr) return {};
  const auto* list = node->as_array();
  if (list == nullptr) return wrong(file, *node, fmt::format("{} must be [[{}]] tables", key, key));
  for (const auto& item : *list) {
    if (!item.is_table()) return wrong(file, item, fmt::format("{} must be [[{}]] tables", key, key));
    TRY_ASSIGN(T value, read(file, *item.as_table()));
    const auto same = std::find_if(onto.begin(), onto.end(), [&](const T& other) { return other.path == value.path; });
    if (same != onto.end()) {
      *same = std::move(value);
    } else {
      onto.push_back(std::move(value));
    }
  }
  return {};
}

Result<> overlay_environment(const fs::path& file, const toml::node* node, std::map<std::string, std::string>& onto) {
  if (node == nullptr) return {};
  if (!node->is_table()) return wrong(file, *node, "environment must be a table of strings");
  for (const auto& [key, value] : *node->as_table()) {
    TRY_ASSIGN(onto[std::string(key.str())], as_string(file, key.str(), value));
  }
  return {};
}

// Puts what the file says over `agent`. False: the file disables it.
Result<bool> overlay(const fs::path& file, const toml::table& table, Agent& agent) {
  Reader reader(file, table, "an agent");
  std::string name = agent.name;
  bool disabled = false;
  TRY(reader.string("name", name));
  if (name != agent.name) return wrong(file, table, fmt::format("name is \"{}\", but the file is named like \"{}\"", printable(name, 40), agent.name));
  TRY(reader.boolean("disabled", disabled));
  TRY(reader.string("title", agent.title));
  TRY(reader.string("package", agent.package));
  TRY(reader.string("version", agent.version));
  TRY(reader.strings("skip", agent.skip));
  TRY(reader.boolean("install_scripts", agent.install_scripts));
  TRY(reader.string("program", agent.program));
  TRY(reader.strings("bypass_args", agent.bypass_args));
  TRY(reader.strings("version_args", agent.version_args));
  TRY(reader.strings("resume_args", agent.resume_args));
  TRY(reader.strings("login_args", agent.login_args));
  TRY(reader.strings("hosts", agent.hosts));
  TRY(overlay_environment(file, reader.take("environment"), agent.environment));
  TRY(overlay_by_path(file, "files", reader.take("files"), agent.files, read_file_template));
  TRY(overlay_by_path(file, "logins", reader.take("logins"), agent.logins, read_login));
  TRY(reader.finish());
  if (disabled) return false;
  if (auto checked = check_agent(agent); !checked) {
    return fail(std::move(checked.error()).with_context(fmt::format("while reading {}", file.string())));
  }
  return true;
}

// ---- Directories -------------------------------------------------------------------------------------------------

Result<std::vector<fs::path>> toml_files(const fs::path& directory) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  if (error == std::errc::no_such_file_or_directory) return fail(ErrorKind::kNotFound, fmt::format("there is no directory {}", directory.string()));
  if (error) return fail_errno(error.value(), fmt::format("cannot read {}", directory.string()));
  std::vector<fs::path> files;
  for (const auto& entry : entries) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<> load_directory(const fs::path& directory, std::map<std::string, Agent>& agents) {
  TRY_ASSIGN(const auto files, toml_files(directory));
  for (const auto& file : files) {
    const std::string name = file.stem().string();
    if (auto checked = check_name(name); !checked) {
      return fail(ErrorKind::kUsage, fmt::format("{}: {}", file.string(), checked.error().message()));
    }
    TRY_ASSIGN(const std::string text, sys::read_file(file, kMaxFileBytes));
    const toml::parse_result parsed = toml::parse(text, file.string());
    if (!parsed) {
      const auto& at = parsed.error().source().begin;
      return fail(ErrorKind::kUsage, fmt::format("{}:{}: {}", file.string(), at.line, printable(parsed.error().description())));
    }
    Agent& agent = agents[name];
    agent.name = name;
    TRY_ASSIGN(const bool enabled, overlay(file, parsed.table(), agent));
    if (!enabled) agents.erase(name);
  }
  return {};
}

// A member that is not there is fine, an unreadable one is not.
Result<bool> read_if_there(const fs::path& path, std::string& out) {
  auto text = sys::read_file(path, kMaxFileBytes);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return false;
  TRY_ASSIGN(out, std::move(text));
  return true;
}

}  // namespace

AgentTable::AgentTable(std::vector<Agent> agents, std::string note) : agents_(std::move(agents)), note_(std::move(note)) {
  std::sort(agents_.begin(), agents_.end(), [](const Agent& a, const Agent& b) { return a.name < b.name; });
}

const Agent* AgentTable::find(std::string_view name) const {
  const auto it = std::find_if(agents_.begin(), agents_.end(), [&](const Agent& agent) { return agent.name == name; });
  return it == agents_.end() ? nullptr : &*it;
}

Result<const Agent*> AgentTable::get(std::string_view name) const {
  if (const Agent* agent = find(name)) return agent;
  std::vector<std::string> names;
  for (const auto& agent : agents_) names.push_back(agent.name);
  return fail(ErrorKind::kUsage, fmt::format("there is no agent \"{}\"", printable(name, 60)), "known agents: " + join(names, ", "));
}

Result<AgentTable> load_table(const fs::path& installed, const fs::path& user) {
  std::map<std::string, Agent> agents;
  TRY(context(load_directory(installed, agents), "while reading the agent table"));
  if (auto own = load_directory(user, agents); !own && own.error().kind() != ErrorKind::kNotFound) {
    return fail(std::move(own.error()).with_context("while reading your agents"));
  }
  std::string note;
  TRY_ASSIGN(bool found, read_if_there(user / "note.md", note));
  if (!found) {
    TRY_ASSIGN(found, read_if_there(installed / "note.md", note));
  }
  TRY(context(check_placeholders(note), "while reading note.md"));

  std::vector<Agent> all;
  for (auto& [name, agent] : agents) all.push_back(std::move(agent));
  return AgentTable(std::move(all), std::move(note));
}

}  // namespace locki::agents
