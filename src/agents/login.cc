#include "agents/login.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"

namespace locki::agents {

namespace {

bool has_control_bytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f;
  });
}

}  // namespace

Result<> check_login(const LoginFile& file, std::string_view content) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::kProtocol, fmt::format("{} is not taken as a login: {}", printable(file.path), why));
  };
  if (content.empty()) return refuse("it is empty");
  if (content.size() > file.max_bytes) return refuse(fmt::format("it has {} bytes, at most {} are allowed", content.size(), file.max_bytes));
  if (!is_utf8(content) || has_control_bytes(content)) return refuse("it is not plain text");
  if (file.shape == LoginFile::Shape::kText) return {};

  // The parser's message could quote the content, which is a secret.
  const auto parsed = json::parse_object(content, file.max_bytes);
  if (!parsed) return refuse("it is not a JSON object");
  const bool complete = file.required.empty() || std::any_of(file.required.begin(), file.required.end(), [&](const std::string& member) {
    return parsed->contains(member);
  });
  if (!complete) return refuse("it has none of the members " + join(file.required, ", "));
  return {};
}

const LoginFile* find_login(const Agent& agent, std::string_view path) {
  const auto it = std::find_if(agent.logins.begin(), agent.logins.end(), [&](const LoginFile& file) { return file.path == path; });
  return it == agent.logins.end() ? nullptr : &*it;
}

}  // namespace locki::agents
