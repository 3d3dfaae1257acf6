// Attack: everything that root in the container can put into its worktree, against a person on the host who then works as people do: looks at the
// status, diffs, logs, stashes, commits, and enters every directory with a prompt that asks git. No program of the sandbox's may run, no file outside
// the worktree and no other ref may change. (docs/threats.md)
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "support/mirror_pair.h"

namespace locki::mirror::test {
namespace {

class Victim : public ::testing::Test {
 protected:
  void SetUp() override {
    canary_ = pair_.path("canary").string();
    payload_ = "#!/bin/sh\ntouch '" + canary_ + "'\n";
    config_ = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = touch '" + canary_ + "'; false\n\thooksPath = hooks\n\tpager = touch '" + canary_ +
              "'\n\teditor = touch '" + canary_ + "'\n\tsshCommand = touch '" + canary_ + "'\n[diff]\n\texternal = touch '" + canary_ + "'\n[filter \"evil\"]\n\tclean = touch '" + canary_ +
              "'\n\tsmudge = touch '" + canary_ + "'\n[alias]\n\tstatus = !touch '" + canary_ + "'\n";
    // A person who likes hooks: the usual place of a hook manager.
    pair_.git(pair_.path("repo"), {"config", "core.hooksPath", ".githooks"});
    write(pair_.path("outside/precious"), "precious");
    write(pair_.path("home/.bashrc"), "# mine\n");
    pair_.git(pair_.path("repo"), {"branch", "other"});
    pair_.git(pair_.path("repo"), {"tag", "v1"});
    pair_.start();
    ASSERT_TRUE(pair_.sync());
    outside_ = everything_else();
  }

  fs::path in(const std::string& path) const { return pair_.inside() / path; }
  void inside(const std::string& path, std::string_view content, bool executable = false) {
    write(in(path), content);
    if (executable) fs::permissions(in(path), fs::perms::all);
  }
  void repository(const std::string& directory, const std::string& config) {
    fs::create_directories(in(directory));
    inside(directory + "/HEAD", "ref: refs/heads/main\n");
    fs::create_directories(in(directory + "/objects/info"));
    inside(directory + "/objects/info/keep", "");
    inside(directory + "/refs/heads/keep", "");
    inside(directory + "/config", config);
    for (const char* hook : {"post-checkout", "pre-commit", "post-commit", "post-index-change", "fsmonitor-watchman", "prepare-commit-msg", "reference-transaction"})
      inside(directory + "/hooks/" + hook, payload_, true);
  }
  // What must stay byte-identical: other files, other refs, the repository's own configuration.
  std::string everything_else() const {
    std::string out;
    for (const char* part : {"outside", "home", "repo"}) {
      for (const auto& [name, what] : listing(pair_.path(part))) out += std::string(part) + "/" + name + " " + what + "\n";
    }
    for (const char* part : {"repo/.git/config", "repo/.git/HEAD"}) out += read(pair_.path(part));
    for (const auto& hook : fs::directory_iterator(pair_.path("repo/.git/hooks"))) out += hook.path().string() + read(hook.path());
    return out + pair_.git(pair_.path("repo"), {"for-each-ref", "refs/heads/main", "refs/heads/other", "refs/tags"});
  }

  // As a person would in a shell, in each directory that came out, and in the root. What fails, fails: only what runs counts.
  void work() {
    const std::string script = R"(
      export GIT_PAGER=cat PAGER=cat EDITOR=true
      [ -r /usr/lib/git-core/git-sh-prompt ] && . /usr/lib/git-core/git-sh-prompt
      export GIT_PS1_SHOWDIRTYSTATE=1 GIT_PS1_SHOWUNTRACKEDFILES=1 GIT_PS1_SHOWSTASHSTATE=1 GIT_PS1_SHOWUPSTREAM=auto
      enter() {
        cd "$1" || return
        for file in .envrc .env .autoenv .autoenv.zsh .rvmrc .exrc .nvim.lua .vimrc; do [ -f "$file" ] && . "./$file"; done
        type __git_ps1 >/dev/null 2>&1 && __git_ps1
        git rev-parse --show-toplevel; git status --porcelain; git diff; git diff --cached; git log -1 --oneline
      }
      root=$PWD
      find . -name .git -prune -o -type d -print0 | while IFS= read -r -d '' directory; do ( enter "$directory" ); done
      find . -name .git -prune -o -type l -print0 | while IFS= read -r -d '' link; do ( enter "$link" ); done
      cd "$root"
      git status; git diff HEAD; git log -p --all --stat; git show; git grep -n a; git blame README
      git add -A; git stash; git status; git stash pop; git checkout -- .; git restore .
      git commit -q -a -m mine; git log -p -2; git gc -q; git fsck; git submodule status; git ls-files -s; git worktree list
      git archive HEAD >/dev/null; git branch -a; git describe --always --dirty
    )";
    sys::ProcessSpec spec{.program = "/bin/bash", .args = {"-c", script}, .environment = sys::clean_environment(), .directory = pair_.host().string()};
    spec.environment["HOME"] = pair_.path("home").string();
    const auto done = sys::run(spec, {}, {.timeout = seconds(120)});
    ASSERT_TRUE(done.has_value()) << done.error().describe();
  }
  void expect_unharmed() {
    EXPECT_FALSE(fs::exists(canary_)) << "a program of the sandbox's ran";
    EXPECT_EQ(everything_else(), outside_);
    for (const auto& [name, what] : listing(pair_.host())) {
      EXPECT_EQ(name.find('\x1b'), std::string::npos);
      struct stat st {};
      ASSERT_EQ(::lstat((pair_.host() / name).c_str(), &st), 0);
      EXPECT_TRUE(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)) << name;
      EXPECT_EQ(st.st_mode & (S_ISUID | S_ISGID | S_ISVTX), 0u) << name;
      if (S_ISLNK(st.st_mode)) {
        EXPECT_TRUE(fs::weakly_canonical(pair_.host() / name).string().starts_with(pair_.host().string())) << name;
      }
    }
  }
  void attack_and_work() {
    ASSERT_TRUE(pair_.sync());
    work();
    expect_unharmed();
    ASSERT_TRUE(pair_.sync());
    expect_unharmed();
  }

  MirrorPair pair_;
  std::string canary_, payload_, config_, outside_;
};

// The payload works where nothing keeps it away: without this the other cases would show nothing.
TEST_F(Victim, ThePayloadIsReal) {
  repository("data", config_);
  fs::copy(in("data"), pair_.host() / "data", fs::copy_options::recursive);
  work();
  EXPECT_TRUE(fs::exists(canary_));
}

TEST_F(Victim, NestedRepositories) {
  repository("sub/.git", config_);
  inside("sub/file", "x");
  for (const char* spelling : {".GIT", ".Git", ".git ", ".git.", "git~1", "GIT~1", ".g\xe2\x80\x8cit"}) repository("spelled/" + std::string(spelling), config_);
  inside("linked/.git", "gitdir: ../evil\n");
  repository("evil", config_);
  attack_and_work();
  EXPECT_FALSE(fs::exists(pair_.host() / "sub/.git"));
  EXPECT_FALSE(fs::exists(pair_.host() / "linked/.git"));
}

TEST_F(Victim, BareRepositoriesInTheTree) {
  repository("data", config_);
  repository("deep/er/fixture.git", config_);
  inside("thin/HEAD", "ref: refs/heads/main\n");
  inside("thin/commondir", "../data\n");
  inside("lower/head", "ref: refs/heads/main\n");
  fs::create_symlink("../data/HEAD", in("thin/other"));
  repository("moved-later", config_);
  fs::create_symlink("moved-later", in("way"));
  attack_and_work();
}

TEST_F(Victim, ACommittedBareRepository) {
  repository("data", config_);
  inside(".githooks/pre-commit", payload_, true);
  inside(".envrc", payload_);
  inside(".gitattributes", "* filter=evil diff=evil merge=evil\n");
  pair_.commit(pair_.inside(), "a fixture, honestly");
  attack_and_work();
  EXPECT_FALSE(fs::exists(pair_.host() / "data/HEAD"));
  EXPECT_FALSE(fs::exists(pair_.host() / ".githooks"));
  EXPECT_FALSE(fs::exists(pair_.host() / ".envrc"));
}

TEST_F(Victim, HooksAndShellFiles) {
  for (const char* hook : {"pre-commit", "post-commit", "post-checkout", "post-index-change", "prepare-commit-msg", "commit-msg", "reference-transaction"}) {
    inside(".githooks/" + std::string(hook), payload_, true);
    inside(".husky/" + std::string(hook), payload_, true);
  }
  for (const char* file : {".envrc", ".env", ".autoenv", ".autoenv.zsh", ".rvmrc", ".exrc", ".nvim.lua", ".vimrc"}) {
    inside(file, payload_);
    inside("sub/" + std::string(file), payload_);
  }
  attack_and_work();
}

TEST_F(Victim, AttributesModulesAndConfiguration) {
  // The user has this filter, as one has git-lfs; the sandbox must not choose where it runs.
  pair_.git(pair_.path("repo"), {"config", "--global", "filter.evil.clean", "sh -c 'touch \"" + canary_ + "\"; cat'"});
  outside_ = everything_else();
  // The worker ends when that file is replaced, and the daemon starts the next.
  pair_.kill_worker();
  pair_.start();
  inside(".gitattributes", "* filter=evil\n");
  inside("sub/.gitattributes", "* filter=evil\n");
  inside("sub/text", "text");
  inside(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c touch% " + canary_ + "\n\tupdate = !touch " + canary_ + "\n");
  inside(".gitconfig", config_);
  inside(".lfsconfig", "[lfs]\n\turl = https://example.org\n");
  attack_and_work();
}

TEST_F(Victim, SpecialFiles) {
  inside("setuid", payload_);
  ::chmod(in("setuid").c_str(), 06755);
  ASSERT_EQ(::mkfifo(in("fifo").c_str(), 0666), 0);
  if (::geteuid() == 0) {
    (void)::mknod(in("device").c_str(), S_IFCHR | 0666, makedev(1, 3));
    (void)::mknod(in("disk").c_str(), S_IFBLK | 0666, makedev(7, 0));
  }
  sockaddr_un address{.sun_family = AF_UNIX};
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  fs::current_path(pair_.inside());
  std::snprintf(address.sun_path, sizeof address.sun_path, "socket");
  (void)::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  fs::current_path("/");
  attack_and_work();
  ::close(socket);
  for (const char* name : {"fifo", "device", "disk", "socket"}) EXPECT_FALSE(fs::exists(fs::symlink_status(pair_.host() / name))) << name;
}

TEST_F(Victim, SymlinksThatLeadOut) {
  fs::create_symlink(pair_.path("outside/precious"), in("absolute"));
  fs::create_directory_symlink("../outside", in("up"));
  fs::create_directory_symlink("sub/../../outside", in("round"));
  fs::create_directory(in("sub"));
  fs::create_directory_symlink("../../outside", in("sub/up"));
  fs::create_directory_symlink(".git", in("dotgit"));
  fs::create_symlink("../.git/hooks/pre-commit", in("sub/hook"));
  attack_and_work();
}

TEST_F(Victim, NamesThatActOnTerminals) {
  for (const char* name : {"\x1b]0;owned\x07", "\x1b[2J", "line\nbreak", "back\\slash", "-rf", "--exec=touch canary", "$(touch canary)", "`touch canary`", "; touch canary", "\xe2\x80\xae" "cod.exe",
                           "\xff\xfe", " ", "tab\there"})
    inside(name, "x");
  attack_and_work();
  EXPECT_TRUE(fs::exists(pair_.host() / "$(touch canary)")) << "an ordinary name, if an odd one";
}

TEST_F(Victim, DeepAndLongTrees) {
  std::string deep = "deep";
  for (int i = 0; i < 100; ++i) deep += "/d";
  fs::create_directories(in(deep));
  inside(deep + "/file", "x");
  inside(std::string(255, 'n'), "x");
  attack_and_work();
}

}  // namespace
}  // namespace locki::mirror::test
