#include "cli/names.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "term/fuzzy.h"

namespace locki::cli {
namespace {

constexpr std::size_t kMaxName = 100;

tl::unexpected<Error> bad_name(const std::string& name, const std::string& why) {
  return fail(ErrorKind::kUsage, "“" + printable(name, 80) + "” cannot be the name of a sandbox: " + why,
              "letters, digits and . _ / - in between, as in “fix-login” or “me/fix-login”");
}

Result<std::vector<json::object>> listed(const json::object& list) {
  TRY_ASSIGN(const auto array, json::get_array(list, "sandboxes"));
  std::vector<json::object> all;
  for (const auto& value : array) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's list of sandboxes holds something else");
    all.push_back(value.get_object());
  }
  return all;
}

bool is_within(const std::string& directory, const std::string& worktree) {
  if (worktree.empty() || !directory.starts_with(worktree)) return false;
  return directory.size() == worktree.size() || directory[worktree.size()] == '/';
}

}  // namespace

Result<> check_name(const std::string& name) {
  if (name.empty()) return bad_name(name, "it is empty");
  if (name.size() > kMaxName) return bad_name(name, "it is longer than 100 characters");
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '.' && c != '_' && c != '/' && c != '-') return bad_name(name, "it holds “" + printable(std::string(1, c)) + "”");
  }
  if (name == "HEAD") return bad_name(name, "git keeps it for itself");
  for (const auto& part : split(name, '/')) {
    if (part.empty()) return bad_name(name, "it has an empty part");
    if (part.front() == '-' || part.front() == '.') return bad_name(name, "a part of it begins with “" + std::string(1, part.front()) + "”");
    if (part.back() == '.' || part.ends_with(".lock")) return bad_name(name, "a part of it ends in “.” or “.lock”");
    if (part.find("..") != std::string::npos) return bad_name(name, "it holds “..”");
  }
  return {};
}

Result<std::string> which_sandbox(Context& context, Caller& daemon, const std::string& given) {
  if (!given.empty()) {
    TRY(check_name(given));
    return given;
  }
  TRY_ASSIGN(const auto reply, daemon.call("sandbox.list", {{"cwd", context.cwd}, {"all", false}}, context.progress));
  TRY_ASSIGN(const auto all, listed(reply.result));
  for (const auto& sandbox : all) {
    if (is_within(context.cwd, json::string_or(sandbox, "worktree"))) return json::get_string(sandbox, "name");
  }
  if (all.empty()) return fail(ErrorKind::kUsage, "no sandbox is named, and there is none in this repository", "give a name: locki claude my-feature");
  std::vector<std::string> names;
  std::vector<term::PickerItem> items;
  for (const auto& sandbox : all) {
    TRY_ASSIGN(auto name, json::get_string(sandbox, "name"));
    items.push_back({name, json::string_or(sandbox, "state")});
    names.push_back(std::move(name));
  }
  if (!context.terminal.in_facts.terminal || !context.terminal.err_facts.moving) {
    return fail(ErrorKind::kUsage, "no sandbox is named, and this is not a terminal to ask on", "one of: " + join(names, ", "));
  }
  if (context.clear_progress) context.clear_progress();
  TRY_ASSIGN(const auto chosen, context.services.pick("Which sandbox?", items));
  if (!chosen || *chosen >= names.size()) return fail(ErrorKind::kCancelled, "no sandbox was chosen");
  return names[*chosen];
}

Result<std::string> which_sandbox(Context& context, const std::string& given) {
  if (!given.empty()) {
    TRY(check_name(given));
    return given;
  }
  TRY_ASSIGN(const auto daemon, context.services.connect());
  return which_sandbox(context, *daemon, given);
}

Result<json::object> find_sandbox(const json::object& list, const std::string& name) {
  TRY_ASSIGN(const auto all, listed(list));
  std::vector<std::string> names;
  for (const auto& sandbox : all) {
    names.push_back(json::string_or(sandbox, "name"));
    if (names.back() == name) return sandbox;
  }
  const auto meant = term::nearest(name, names);
  return fail(ErrorKind::kNotFound, "there is no sandbox “" + printable(name, 80) + "” in this repository", meant.empty() ? "locki list" : "“" + meant + "”?");
}

}  // namespace locki::cli
