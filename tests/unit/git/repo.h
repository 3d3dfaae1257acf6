// A real repository in a temporary directory, driven by the installed git.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "git/repository.h"
#include "sys/file.h"

namespace locki::git::test {

class TestRepo {
 public:
  explicit TestRepo(bool commit = true)
      : directory_(std::move(*sys::TemporaryDirectory::make(fs::temp_directory_path(), "locki-git"))) {
    program_ = *find_git(directory_.path().string());
    fs::create_directory(path());
    git({"init", "-q", "-b", "main"});
    git({"config", "user.name", "Human"});
    git({"config", "user.email", "human@example.org"});
    if (commit) {
      write("README", "hello\n");
      commit_all("first");
    }
  }

  fs::path path() const { return directory_.path() / "repo"; }
  fs::path outside(const std::string& name) const { return directory_.path() / name; }
  const Program& program() const { return program_; }
  Repository repository() const { return *Repository::discover(program_, path()); }

  // Plain git as the user runs it: hooks and all.
  std::string git(std::vector<std::string> args, std::string_view input = {}, const fs::path& where = {}) const {
    auto out = try_git(std::move(args), input, where);
    EXPECT_TRUE(out.has_value()) << (out ? "" : out.error().describe());
    return out ? std::string(trim(*out)) : "";
  }
  Result<std::string> try_git(std::vector<std::string> args, std::string_view input = {},
                              const fs::path& where = {}) const {
    sys::ProcessSpec spec{.program = program_.git, .args = std::move(args), .environment = sys::clean_environment()};
    spec.environment["HOME"] = program_.home;
    for (const char* who : {"AUTHOR", "COMMITTER"}) {
      spec.environment["GIT_" + std::string(who) + "_NAME"] = "Agent";
      spec.environment["GIT_" + std::string(who) + "_EMAIL"] = "agent@example.org";
    }
    spec.directory = where.empty() ? path().string() : where.string();
    return sys::run_ok(spec, input);
  }
  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((path() / name).parent_path());
    std::ofstream(path() / name, std::ios::binary) << content;
  }
  std::string commit_all(const std::string& message) const {
    git({"add", "-A"});
    git({"commit", "-q", "--allow-empty", "-m", message});
    return git({"rev-parse", "HEAD"});
  }
  // Everything that a refused pack must leave as it was.
  std::string fingerprint() const {
    return git({"for-each-ref"}) + "\n" + git({"count-objects", "-v"}) + "\n" + git({"status", "--porcelain"}) + "\n" +
           git({"reflog", "--all"});
  }

  // Raw objects, however hostile.
  std::string blob(std::string_view content) const {
    return git({"hash-object", "-w", "--stdin", "-t", "blob"}, content);
  }
  struct Item {
    std::string mode, name, oid;
  };
  std::string tree(const std::vector<Item>& items) const {
    std::string raw;
    for (const Item& item : items) {
      raw += item.mode + " " + item.name + '\0';
      const auto bytes = unhex(item.oid);
      raw.append(bytes->begin(), bytes->end());
    }
    return git({"hash-object", "-w", "--stdin", "-t", "tree", "--literally"}, raw);
  }
  std::string commit(const std::string& tree_oid, const std::string& parent,
                     const std::string& message = "from inside") const {
    std::string raw = "tree " + tree_oid + "\n";
    if (!parent.empty()) raw += "parent " + parent + "\n";
    raw +=
        "author A <a@example.org> 1700000000 +0000\ncommitter A <a@example.org> 1700000000 +0000\n\n" + message + "\n";
    return git({"hash-object", "-w", "--stdin", "-t", "commit", "--literally"}, raw);
  }

 private:
  sys::TemporaryDirectory directory_;
  Program program_;
};

}  // namespace locki::git::test
