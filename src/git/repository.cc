#include "git/repository.h"

#include <algorithm>

namespace locki::git {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Runs it; the output when it succeeded, nullopt when it exited with `absent`, else an error.
Result<std::optional<std::string>> run_or_absent(const sys::ProcessSpec& spec, int absent) {
  TRY_ASSIGN(const sys::Output output, sys::run(spec));
  if (output.exit.ok()) return output.out;
  if (output.exit.signal == 0 && output.exit.status == absent) return std::nullopt;
  return fail(ErrorKind::kFailed,
              sys::shown_command(spec) + " " + output.exit.describe() + ": " + printable(trim(output.err)));
}

}  // namespace

Result<Repository> Repository::discover(const Program& program, const fs::path& directory) {
  const auto ask = git::command(program, Config::kUser, directory,
                                {"rev-parse", "--path-format=absolute", "--git-common-dir", "--absolute-git-dir",
                                 "--is-bare-repository", "--show-object-format", "--show-toplevel"});
  TRY_ASSIGN(const sys::Output output, sys::run(ask));
  // The last question, the toplevel, has no answer where there is no worktree: then git fails, with the other answers given.
  const auto lines = split_lines(output.out);
  if (!output.exit.ok() && lines.size() < 4) {
    return fail(ErrorKind::kNotFound,
                "'" + directory.string() + "' is not in a git repository: " + printable(trim(output.err)),
                "change into a git repository, or make one with git init and a first commit");
  }
  if (lines.size() != (output.exit.ok() ? 5 : 4))
    return fail(ErrorKind::kFailed, "git rev-parse answered something unexpected in '" + directory.string() + "'");
  Repository repository;
  repository.program_ = program;
  repository.common_dir_ = lines[0];
  repository.git_dir_ = lines[1];
  repository.object_format_ = lines[3];
  if (lines[2] == "false") {
    if (lines.size() < 5) {
      return fail(ErrorKind::kNotFound, "'" + directory.string() + "' is inside a git directory, not in a worktree",
                  "change into the repository's worktree");
    }
    repository.toplevel_ = lines[4];
  }
  return repository;
}

Repository Repository::known(const Program& program, fs::path common_dir, fs::path toplevel) {
  Repository repository;
  repository.program_ = program;
  repository.common_dir_ = std::move(common_dir);
  repository.toplevel_ = std::move(toplevel);
  repository.object_format_.clear();
  return repository;
}

sys::ProcessSpec Repository::command(std::vector<std::string> args) const {
  return git::command(program_, Config::kUser, is_bare() ? common_dir_ : toplevel_, std::move(args));
}

sys::ProcessSpec Repository::common_command(std::vector<std::string> args) const {
  auto spec = git::command(program_, Config::kUser, common_dir_, std::move(args));
  spec.environment["GIT_DIR"] = common_dir_.string();
  return spec;
}

Result<bool> Repository::has_commit() const {
  TRY_ASSIGN(const auto out, run_or_absent(command({"rev-parse", "--verify", "--quiet", "HEAD^{commit}"}), 1));
  return out.has_value();
}

Result<ObjectId> Repository::resolve(std::string_view revision) const {
  const std::string shown = printable(revision);
  if (revision.empty() || revision.front() == '-' || revision.find('\n') != std::string_view::npos) {
    return fail(ErrorKind::kUsage, "'" + shown + "' is not a revision");
  }
  auto spec = command({"rev-parse", "--verify", "--quiet", "--end-of-options", std::string(revision) + "^{commit}"});
  TRY_ASSIGN(const sys::Output output, sys::run(spec));
  const std::string oid = first_line(output.out);
  if (!output.exit.ok() || !is_object_id(oid)) {
    return fail(ErrorKind::kNotFound, "there is no commit '" + shown + "' in '" + common_dir_.string() + "'",
                "git branch --all lists the branches");
  }
  return oid;
}

Result<std::optional<ObjectId>> Repository::ref(std::string_view full_name) const {
  if (!full_name.starts_with("refs/"))
    return fail(ErrorKind::kUsage, "'" + printable(full_name) + "' is not a full ref name");
  TRY_ASSIGN(const auto out,
             run_or_absent(common_command({"show-ref", "--verify", "--hash", "--", std::string(full_name)}), 128));
  if (!out) return std::nullopt;
  const std::string oid = first_line(*out);
  if (!is_object_id(oid)) return std::nullopt;
  return oid;
}

Result<std::optional<std::string>> Repository::current_branch() const {
  TRY_ASSIGN(const auto out, run_or_absent(command({"symbolic-ref", "--quiet", "HEAD"}), 1));
  constexpr std::string_view kHeads = "refs/heads/";
  if (!out || !out->starts_with(kHeads)) return std::nullopt;
  return first_line(*out).substr(kHeads.size());
}

Result<std::string> Repository::config(std::string_view key) const {
  auto spec = command({"config", "--get", "--", std::string(key)});
  // The user's value, not ours: every -c of ours would answer for it. Reading a configuration runs nothing of it.
  for (auto at = std::find(spec.args.begin(), spec.args.end(), "-c"); at != spec.args.end(); at = std::find(at, spec.args.end(), "-c"))
    at = spec.args.erase(at, at + 2);
  TRY_ASSIGN(const auto out, run_or_absent(spec, 1));
  return out ? first_line(*out) : "";
}

Result<std::string> Repository::user_name() const { return config("user.name"); }
Result<std::string> Repository::user_email() const { return config("user.email"); }

Result<ObjectId> Repository::default_base() const {
  TRY_ASSIGN(const bool any, has_commit());
  if (!any) {
    return fail(ErrorKind::kNotFound, "the repository '" + common_dir_.string() + "' has no commit yet",
                "make a first one: git commit --allow-empty -m start");
  }
  return resolve("HEAD");
}

Result<bool> Repository::is_ancestor(const ObjectId& commit, const ObjectId& from) const {
  TRY_ASSIGN(const auto out, run_or_absent(common_command({"merge-base", "--is-ancestor", commit, from}), 1));
  return out.has_value();
}

Result<std::vector<ObjectId>> Repository::merge_bases(const ObjectId& one, const ObjectId& other) const {
  TRY_ASSIGN(const auto out, run_or_absent(common_command({"merge-base", "--all", one, other}), 1));
  return out ? split_lines(*out) : std::vector<ObjectId>{};
}

Result<std::optional<std::string>> Repository::file_at(const ObjectId& commit, std::string_view path,
                                                       std::size_t limit) const {
  TRY_ASSIGN(const std::string listed,
             sys::run_ok(common_command({"ls-tree", "-z", "--full-tree", commit, "--", std::string(path)})));
  // "100644 blob <oid>\t<path>\0"
  const auto tab = listed.find('\t');
  if (tab == std::string::npos || !listed.starts_with("100")) return std::nullopt;
  const auto words = split(std::string_view(listed).substr(0, tab), ' ');
  if (words.size() != 3 || words[1] != "blob" || !is_object_id(words[2])) return std::nullopt;
  TRY_ASSIGN(std::string content,
             sys::run_ok(common_command({"cat-file", "blob", words[2]}), {}, {.max_output = limit}));
  return content;
}

std::optional<std::string> why_bad_branch(std::string_view name) {
  // git-check-ref-format(1), refs.c check_refname_component(), and what a directory, a container's name or a screen
  // would not take.
  if (name.empty()) return "is empty";
  if (name.size() > 200) return "is longer than 200 bytes";
  if (name == "HEAD" || name == "@") return "means something else to git";
  if (!is_utf8(name)) return "is not UTF-8";
  if (name.front() == '-') return "begins with '-'";
  if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string_view::npos)
    return "has an empty part";
  if (name.find("..") != std::string_view::npos) return "contains '..'";
  if (name.find("@{") != std::string_view::npos) return "contains '@{'";
  if (name.back() == '.') return "ends with '.'";
  for (const char raw : name) {
    const auto c = static_cast<unsigned char>(raw);
    if (c <= 0x20 || c == 0x7f) return "contains a space or a control character";
    if (std::string_view("~^:?*[\\").find(raw) != std::string_view::npos) return std::string("contains '") + raw + "'";
  }
  for (const std::string& part : split(name, '/')) {
    if (part.front() == '.') return "has a part that begins with '.'";
    if (part.ends_with(".lock")) return "has a part that ends with '.lock'";
  }
  return std::nullopt;
}

}  // namespace locki::git
