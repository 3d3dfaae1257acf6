// A repository of the user's on the host: what it is and where it stands. Reads only; blocking; any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "git/command.h"

namespace locki::git {

class Repository {
 public:
  // From any directory inside it (or the repository itself when bare). kNotFound, with a hint, where there is none.
  // Refuses one that another user owns, as git does (safe.directory).
  static Result<Repository> discover(const Program& program, const fs::path& directory);

  // One that discover() found earlier: nothing is looked at, and git_dir() and object_format() are not known.
  static Repository known(const Program& program, fs::path common_dir, fs::path toplevel);

  const Program& program() const { return program_; }
  const fs::path& toplevel() const { return toplevel_; }      // of the worktree asked from; empty when bare
  const fs::path& common_dir() const { return common_dir_; }  // absolute; shared by all worktrees
  const fs::path& git_dir() const { return git_dir_; }        // of this worktree
  bool is_bare() const { return toplevel_.empty(); }
  const std::string& object_format() const { return object_format_; }  // "sha1", "sha256"

  Result<bool> has_commit() const;  // HEAD names a commit
  // Anything `git rev-parse` takes, to the commit it names. Options are refused. kNotFound.
  Result<ObjectId> resolve(std::string_view revision) const;
  // A full ref name ("refs/heads/x") or nullopt when there is no such ref.
  Result<std::optional<ObjectId>> ref(std::string_view full_name) const;
  Result<std::optional<std::string>> current_branch() const;  // nullopt: detached
  Result<std::string> user_name() const;                      // "" when unset
  Result<std::string> user_email() const;
  // Where a new sandbox starts when nothing is said: HEAD.
  Result<ObjectId> default_base() const;
  // True when every commit of `commit` is reachable from `from`.
  Result<bool> is_ancestor(const ObjectId& commit, const ObjectId& from) const;
  // Where both began to differ; several when they were merged crosswise, none when they have no common history.
  Result<std::vector<ObjectId>> merge_bases(const ObjectId& one, const ObjectId& other) const;
  // A value of the configuration, "" when unset.
  Result<std::string> config(std::string_view key) const;
  // A file as it is in a commit; nullopt when it is not there (or is not a file). At most `limit` bytes.
  Result<std::optional<std::string>> file_at(const ObjectId& commit, std::string_view path,
                                             std::size_t limit = 1 << 20) const;

  // For the other files of this folder: a command in this repository (in its toplevel, or the git directory when bare).
  sys::ProcessSpec command(std::vector<std::string> args) const;
  // The same against the shared git directory alone, whatever worktrees there are.
  sys::ProcessSpec common_command(std::vector<std::string> args) const;

 private:
  Program program_;
  fs::path toplevel_, common_dir_, git_dir_;
  std::string object_format_ = "sha1";
};

// Why this may not be the name of a branch (git check-ref-format --branch, and more: no leading '-', length,
// printable), or nullopt.
std::optional<std::string> why_bad_branch(std::string_view name);

}  // namespace locki::git
