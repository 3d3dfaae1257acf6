#include "git/shallow.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "sys/file.h"

namespace locki::git {
namespace {

constexpr std::size_t kMaxFile = 64 << 20;
constexpr std::size_t kMaxLine = 65 * 8;  // of rev-list --parents, on average: merges of more than seven are rare

}  // namespace

Result<History> newest_history(const Repository& repository, const ObjectId& tip, std::size_t most) {
  TRY_ASSIGN(const auto own, read_boundary(repository.common_dir() / "shallow"));
  if (most == 0 && own.empty()) return History{};
  std::vector<std::string> args{"rev-list", "--parents"};
  if (most > 0) args.push_back("--max-count=" + std::to_string(most));
  args.insert(args.end(), {tip, "--"});
  const sys::RunLimits limits{.timeout = std::chrono::minutes(10), .max_output = most == 0 ? std::size_t{4} << 30 : most * kMaxLine + kMaxFile};
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command(std::move(args)), {}, limits));
  // "<commit> <parent>…"; the words point into `out`.
  std::unordered_set<std::string_view> commits, parents;
  for (std::string_view rest = out; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto first = std::min(line.find(' '), line.size());
    commits.insert(line.substr(0, first));
    for (line.remove_prefix(first); !line.empty();) {
      line.remove_prefix(1);
      const auto word = std::min(line.find(' '), line.size());
      parents.insert(line.substr(0, word));
      line.remove_prefix(word);
    }
  }
  History history;
  for (const std::string_view parent : parents) {
    if (!is_object_id(parent)) return fail(ErrorKind::kFailed, "git rev-list answered something unexpected");
    if (!commits.contains(parent)) history.boundary.emplace_back(parent);
  }
  history.cut = !history.boundary.empty();
  for (const ObjectId& oid : own) {
    if (commits.contains(oid)) history.boundary.push_back(oid);  // a parent that is cut already is there
  }
  std::sort(history.boundary.begin(), history.boundary.end());
  return history;
}

Result<std::vector<ObjectId>> read_boundary(const std::filesystem::path& file) {
  const auto text = sys::read_file(file, kMaxFile);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::vector<ObjectId>{};
  if (!text) return fail(text.error());
  auto boundary = split_lines(*text);
  if (!std::all_of(boundary.begin(), boundary.end(), [](const ObjectId& oid) { return is_object_id(oid); }))
    return fail(ErrorKind::kCorrupt, "'" + file.string() + "' holds what is no commit's id");
  return boundary;
}

std::string boundary_text(const std::vector<ObjectId>& boundary) {
  std::string text;
  for (const ObjectId& oid : boundary) text += oid + "\n";
  return text;
}

}  // namespace locki::git
