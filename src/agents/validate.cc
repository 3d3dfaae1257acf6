#include "agents/validate.h"

#include <fmt/format.h>

#include <algorithm>

#include "agents/placeholders.h"
#include "base/strings.h"

namespace locki::agents {

namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z'); }

template <class Allowed>
bool all_of(std::string_view text, Allowed allowed) {
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool has_control_bytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

tl::unexpected<Error> bad(std::string_view member, std::string_view value, std::string_view rule) {
  return fail(ErrorKind::kUsage, fmt::format("{} \"{}\": {}", member, printable(value, 120), rule));
}

// One part of a package's name, or a program's.
bool is_word(std::string_view text) {
  return text.size() <= 100 && all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; }) && is_alnum(text[0]);
}

// "name" or "@scope/name"; nothing that npm could take for a URL, a file or an option.
bool is_package(std::string_view text) {
  if (!text.starts_with('@')) return is_word(text);
  const auto slash = text.find('/');
  return slash != std::string_view::npos && is_word(text.substr(1, slash - 1)) && is_word(text.substr(slash + 1));
}

// A tag, a version or a simple range; no URL, no alias.
bool is_version(std::string_view text) {
  return text.empty() || (text.size() <= 60 && all_of(text, [](char c) { return is_alnum(c) || std::string_view(".-+^~").find(c) != std::string_view::npos; }) && text[0] != '-');
}

bool is_host(std::string_view text) {
  if (text.starts_with('.')) text.remove_prefix(1);
  if (text.size() > 253) return false;
  const auto labels = split(text, '.');
  return labels.size() >= 2 && std::all_of(labels.begin(), labels.end(), [](const std::string& label) {
    return label.size() <= 63 && all_of(label, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; }) && label.front() != '-' && label.back() != '-';
  });
}

bool is_variable(std::string_view text) {
  return all_of(text, [](char c) { return is_alnum(c) || c == '_'; }) && !is_digit(text[0]);
}

// Parts that are all real names: no empty ones, no "." and "..".
bool is_clean_path(std::string_view relative) {
  const auto parts = split(relative, '/');
  return std::all_of(parts.begin(), parts.end(), [](const std::string& part) { return !part.empty() && part != "." && part != ".."; });
}

Result<> check_arguments(std::string_view member, const std::vector<std::string>& arguments) {
  for (const auto& argument : arguments) {
    if (has_control_bytes(argument)) return bad(member, argument, "no control characters");
  }
  return {};
}

}  // namespace

Result<> check_name(std::string_view name) {
  const bool fine = name.size() <= 32 && all_of(name, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; }) && is_lower(name[0]);
  // "generations" is the store's own directory (render.cc).
  if (!fine || name == "generations") return bad("name", name, "a-z, 0-9 and '-', a letter first, at most 32 characters");
  return {};
}

Result<> check_file(const FileTemplate& file) {
  TRY(check_placeholders(file.path));
  TRY(check_placeholders(file.text));
  TRY(check_placeholders(json::value(file.tree)));
  std::string_view rest;
  for (const std::string_view root : {"${home}/", "/etc/", "/usr/local/"}) {
    if (file.path.starts_with(root)) rest = std::string_view(file.path).substr(root.size());
  }
  if (rest.empty() || has_control_bytes(file.path) || !is_clean_path(rest)) {
    return bad("path", file.path, "must be a plain path below ${home}/, /etc/ or /usr/local/");
  }
  if (file.policy == FilePolicy::kMerge && file.format != FileTemplate::Format::kJson) return bad("policy", "merge", "only JSON can be merged");
  return {};
}

Result<> check_login_file(const LoginFile& file) {
  if (has_control_bytes(file.path) || file.path.starts_with('/') || !is_clean_path(file.path)) {
    return bad("path", file.path, "must be a plain path relative to the home directory");
  }
  return {};
}

Result<> check_agent(const Agent& agent) {
  TRY(check_name(agent.name));
  if (agent.title.empty() || has_control_bytes(agent.title)) return bad("title", agent.title, "is missing");
  if (!is_package(agent.package)) return bad("package", agent.package, "must be the name of an npm package");
  for (const auto& name : agent.skip) {
    if (!is_package(name)) return bad("skip", name, "must be the name of an npm package");
  }
  if (!is_version(agent.version)) return bad("version", agent.version, "must be a version or a tag");
  if (!is_word(agent.program)) return bad("program", agent.program, "must be the name of a program of the package");
  TRY(check_arguments("bypass_args", agent.bypass_args));
  TRY(check_arguments("version_args", agent.version_args));
  TRY(check_arguments("resume_args", agent.resume_args));
  TRY(check_arguments("login_args", agent.login_args));
  for (const auto& [key, value] : agent.environment) {
    if (!is_variable(key) || has_control_bytes(value)) return bad("environment", key, "must be a variable's name with a one-line value");
  }
  for (const auto& host : agent.hosts) {
    if (!is_host(host)) return bad("hosts", host, "must be a host name in lower case, or a domain with a leading dot");
  }
  return {};
}

}  // namespace locki::agents
