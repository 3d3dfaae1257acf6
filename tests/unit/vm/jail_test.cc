// The real jail around a small static program that looks around and tries what it must not be able to do. As whoever runs the tests, and
// when that is root, as an ordinary user as well.
#include "vm/qemu/jail.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>

#include "sys/file.h"
#include "sys/socket.h"
#include "vm/qemu/broker_client.h"

namespace locki::vm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

fs::path part(const char* variable, const char* standard) {
  const char* value = std::getenv(variable);
  return value != nullptr ? fs::path(value) : fs::path(LOCKI_BINARY_DIR) / standard;
}
fs::path jail_program() { return part("LOCKI_TEST_JAIL", "libexec/locki/jail"); }
fs::path probe_program() { return part("LOCKI_TEST_PROBE", "tests/jail_probe"); }

bool gone(pid_t pid) {
  const auto stat = sys::read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  return !stat || stat->find(") Z ") != std::string::npos;
}

class JailTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    for (const char* name : {"tmp", "run", "dev", "disks"}) fs::create_directories(root() / name);
    ASSERT_TRUE(sys::write_file(root() / "probe", *sys::read_file(probe_program()), 0755));
    ASSERT_TRUE(sys::write_file(dir_.path() / "ro", "r"));
    ASSERT_TRUE(sys::write_file(dir_.path() / "rw", "w"));
  }
  fs::path root() const { return dir_.path() / "root"; }
  fs::path run() const { return dir_.path() / "run"; }
  JailSpec spec(std::vector<std::string> args = {}) const {
    return {.jail = jail_program(), .root = root(), .read_only = {{"ro", dir_.path() / "ro"}}, .read_write = {{"rw", dir_.path() / "rw"}},
            .secrets = {{"secret", "hush"}}, .sockets = {"program.sock"}, .connect_ports = {8443, 9000}, .listen_ports = {{3128, 3128}},
            .program = "/probe", .args = std::move(args)};
  }
  // What the probe said, once `last` is among it.
  std::map<std::string, std::string> facts(const std::string& last) const {
    std::map<std::string, std::string> out;
    for (const auto until = steady_clock::now() + milliseconds(10'000); steady_clock::now() < until && !out.contains(last); ::usleep(10'000)) {
      for (const auto& line : split_lines(*sys::read_file(run() / "console.log"))) out[line.substr(0, line.find(' '))] = line.substr(line.find(' ') + 1);
    }
    return out;
  }
  std::string exchange(const std::string& text) const {
    auto fd = broker_connect(run() / "broker.sock", 8443);
    if (!fd) return fd.error().describe();
    (void)sys::write_all(fd->get(), text);
    return sys::read_all(fd->get(), 100).value_or("error");
  }
  sys::TemporaryDirectory dir_ = *sys::TemporaryDirectory::make("/tmp", "locki-test");
};

TEST_F(JailTest, IsAnEmptyRoomWithoutPrivileges) {
  const auto jailed = start_jail(spec(), run());
  ASSERT_TRUE(jailed) << jailed.error().describe() << "\n" << jailed.error().hint();
  auto seen = facts("serving");
  const std::map<std::string, std::string> expected{
      {"uid", std::to_string(::getuid())}, {"pid", "2"}, {"capabilities", "0"}, {"bounding", "0"}, {"ambient", "0"}, {"no_new_privs", "1"},
      {"seccomp", "2"}, {"core", "0"}, {"interfaces", "lo"}, {"outside", "ENETUNREACH"}, {"entries:/", "dev,disks,probe,run,tmp"},
      {"entries:/dev", "null,urandom,zero"}, {"entries:/disks", "ro,rw"}, {"entries:/run", "secret"}, {"entries:/tmp", ""},
      {"create:/new", "EROFS"}, {"create:/dev/new", "EROFS"}, {"create:/disks/new", "EROFS"}, {"create:/tmp/new", "ok"},
      {"write:/disks/ro", "EROFS"}, {"write:/disks/rw", "ok"}, {"write:/probe", "ETXTBSY"}, {"read:/dev/urandom", "ok"}, {"secret", "hush,384"},
      {"unshare", "EPERM"}, {"mount", "EPERM"}, {"clone", "EPERM"}, {"clone3", "ENOSYS"}, {"io_uring", "EPERM"}, {"vsock", "EAFNOSUPPORT"},
      {"netlink", "EAFNOSUPPORT"}, {"ptrace", "EPERM"}, {"descriptors", "0,1,2,10"}, {"variables", "1"}, {"ready", "yes"}, {"serving", "yes"}};
  for (const auto& [key, value] : expected) EXPECT_EQ(seen[key], value) << key;
  // And as the host sees both processes.
  for (const pid_t pid : {jailed->pid(), jailed->program()}) {
    const auto status = sys::read_file("/proc/" + std::to_string(pid) + "/status");
    ASSERT_TRUE(status);
    for (const char* line : {"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"}) {
      EXPECT_NE(status->find(line), std::string::npos) << line << " of " << pid;
    }
  }
  ASSERT_TRUE(jailed->kill());
}

// As systemd ends a session: to each process of the control group.
TEST_F(JailTest, ALogoutDoesNotEndIt) {
  const auto jailed = start_jail(spec(), run());
  ASSERT_TRUE(jailed) << jailed.error().describe();
  facts("serving");
  for (const pid_t pid : {jailed->pid(), jailed->program()}) {
    for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT}) ASSERT_EQ(::kill(pid, number), 0);
  }
  EXPECT_FALSE(*jailed->wait(std::chrono::milliseconds(300)));
  EXPECT_EQ(exchange("hello"), "hello");
  ASSERT_TRUE(jailed->kill());
}

TEST_F(JailTest, TheBrokerGivesItsSocketsAndNoOthers) {
  const auto jailed = start_jail(spec(), run());
  ASSERT_TRUE(jailed) << jailed.error().describe();
  facts("serving");
  const fs::path broker = run() / "broker.sock";
  EXPECT_EQ(exchange("hello"), "hello");
  EXPECT_EQ(broker_connect(broker, 9000).error().kind(), ErrorKind::kUnavailable) << "allowed, but nobody listens";
  EXPECT_EQ(broker_connect(broker, 3128).error().kind(), ErrorKind::kPermission);
  EXPECT_EQ(broker_connect(broker, 22).error().kind(), ErrorKind::kPermission);
  EXPECT_EQ(broker_listen(broker, 8443).error().kind(), ErrorKind::kPermission);
  EXPECT_EQ(broker_listen(broker, 9000).error().kind(), ErrorKind::kPermission);
  auto listener = broker_listen(broker, 3128);
  ASSERT_TRUE(listener) << listener.error().describe();
  EXPECT_EQ(broker_listen(broker, 3128).error().kind(), ErrorKind::kExists);
  // Served out here, in our own network namespace, but only those in there can connect to it.
  EXPECT_EQ(exchange("call"), "call");
  auto call = sys::accept_connection(listener->get());
  ASSERT_TRUE(call);
  EXPECT_EQ(*sys::read_all(call->get(), 100), "from inside");
  // A daemon that was killed leaves the port free for the next one.
  listener->reset();
  EXPECT_TRUE(broker_listen(broker, 3128));
  ASSERT_TRUE(jailed->kill());
}

TEST_F(JailTest, TheBrokerSurvivesNonsense) {
  const auto jailed = start_jail(spec(), run());
  ASSERT_TRUE(jailed) << jailed.error().describe();
  facts("serving");
  for (const std::string request : {"connect 8443", "connect  8443\n", "connect 8443 \n", "connect -1\n", "connect 99999\n", "connect \n", "listen\n",
                                    "\n", "CONNECT 8443\n", "listen 3128\nlisten 3128\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"}) {
    auto fd = sys::connect_unix(run() / "broker.sock");
    ASSERT_TRUE(fd && sys::write_all(fd->get(), request));
    const auto reply = sys::receive_message(fd->get(), 100);
    if (!reply) continue;  // reset, because not everything was read
    EXPECT_TRUE(reply->fds.empty()) << request;
    EXPECT_TRUE(reply->data.starts_with("error ")) << request << ": " << reply->data;
  }
  { auto silent = sys::connect_unix(run() / "broker.sock"); }
  EXPECT_EQ(exchange("still there"), "still there");
  ASSERT_TRUE(jailed->kill());
}

TEST_F(JailTest, KillingItLeavesNothing) {
  const auto jailed = start_jail(spec({"wait"}), run());
  ASSERT_TRUE(jailed) << jailed.error().describe();
  const pid_t program = jailed->program();
  ASSERT_GT(program, 0);
  EXPECT_FALSE(*jailed->wait(milliseconds(50)));
  ASSERT_TRUE(jailed->kill());
  EXPECT_TRUE(gone(jailed->pid()));
  EXPECT_TRUE(gone(program));
  EXPECT_EQ(sys::read_file("/proc/self/mountinfo")->find(dir_.path().native()), std::string::npos);
  EXPECT_FALSE(*Jailed::find(run(), current_boot_id()));
  EXPECT_EQ(broker_connect(run() / "broker.sock", 8443).error().kind(), ErrorKind::kUnavailable);
  EXPECT_NE(describe_end(run()).find("killed"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(root() / "tmp"));
}

TEST_F(JailTest, ANewDaemonFindsItByItsFile) {
  const auto jailed = start_jail(spec({"wait"}), run());
  ASSERT_TRUE(jailed) << jailed.error().describe();
  const auto found = Jailed::find(run(), current_boot_id());
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->pid(), jailed->pid());
  EXPECT_FALSE(*Jailed::find(run(), "another boot"));
  // A process that got the same number is another one.
  ASSERT_TRUE(sys::write_file(run() / "pid", std::to_string(jailed->pid()) + " 1\n"));
  EXPECT_FALSE(*Jailed::find(run(), current_boot_id()));
  for (const char* damaged : {"", "x", "1 1\n", "99999999999 1\n", "12"}) {
    ASSERT_TRUE(sys::write_file(run() / "pid", damaged));
    EXPECT_FALSE(*Jailed::find(run(), current_boot_id())) << damaged;
  }
  ASSERT_TRUE(jailed->kill());
}

TEST_F(JailTest, TellsHowTheProgramEnded) {
  const auto jailed = start_jail(spec(), run());
  ASSERT_TRUE(jailed) << jailed.error().describe();
  facts("serving");
  EXPECT_EQ(exchange("bye"), "bye");
  ASSERT_TRUE(*jailed->wait(milliseconds(5000)));
  const std::string end = describe_end(run());
  EXPECT_NE(end.find("exited with status 7"), std::string::npos) << end;
  EXPECT_NE(end.find("leaving"), std::string::npos) << end;
  EXPECT_EQ(end.find('\033'), std::string::npos);
}

TEST_F(JailTest, AFloodDoesNotFillTheDisk) {
  // It may have ended before we look for it, which start_jail() calls an error.
  if (const auto jailed = start_jail(spec({"flood"}), run())) {
    ASSERT_TRUE(*jailed->wait(milliseconds(20'000)));
  }
  const auto console = *sys::read_file(run() / "console.log");
  EXPECT_LE(console.size(), 1u << 20);
  EXPECT_TRUE(console.ends_with("line 0065535 " + std::string(65, 'x') + "\n"));
}

TEST_F(JailTest, SaysWhatCouldNotBeBuilt) {
  auto no_root = spec();
  no_root.root = dir_.path() / "nothing";
  EXPECT_EQ(start_jail(no_root, run()).error().kind(), ErrorKind::kNotFound);
  auto no_disk = spec();
  no_disk.read_only["gone"] = dir_.path() / "gone";
  const auto error = start_jail(no_disk, run()).error();
  EXPECT_NE(error.message().find("gone"), std::string::npos);
  auto a_directory = spec();
  a_directory.read_only["home"] = "/home";
  EXPECT_FALSE(start_jail(a_directory, run())) << "a directory of the host is never bound";
  auto no_program = spec();
  no_program.program = "/bin/nothing";
  EXPECT_EQ(start_jail(no_program, run()).error().kind(), ErrorKind::kNotFound);
  auto bad_name = spec();
  bad_name.read_only["../x"] = dir_.path() / "ro";
  EXPECT_FALSE(start_jail(bad_name, run()));
}

TEST(NamespaceRemedy, NamesTheSettingInTheWay) {
  EXPECT_EQ(namespace_remedy({}, "/j"), "");
  EXPECT_NE(namespace_remedy({.userns_clone_off = true}, "/j").find("unprivileged_userns_clone=1"), std::string::npos);
  EXPECT_NE(namespace_remedy({.none_allowed = true}, "/j").find("max_user_namespaces"), std::string::npos);
  EXPECT_NE(namespace_remedy({.apparmor_restricts = true}, "/opt/jail").find("profile locki-jail /opt/jail"), std::string::npos);
}

// Root runs the same tests once more as somebody without any privilege.
TEST(JailAsAnOrdinaryUser, DoesTheSame) {
  if (::getuid() != 0) GTEST_SKIP() << "the tests run as an ordinary user already";
  auto dir = sys::TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  fs::permissions(dir->path(), fs::perms(0755));
  for (const auto& [name, from] : {std::pair<const char*, fs::path>{"unit", "/proc/self/exe"}, {"jail", jail_program()}, {"probe", probe_program()}}) {
    ASSERT_TRUE(sys::write_file(dir->path() / name, *sys::read_file(from, 512 << 20), 0755));
  }
  auto environment = sys::clean_environment();
  environment["LOCKI_TEST_JAIL"] = dir->path() / "jail";
  environment["LOCKI_TEST_PROBE"] = dir->path() / "probe";
  const auto output = sys::run({.program = "/usr/bin/setpriv",
                                .args = {"--reuid=54321", "--regid=54321", "--clear-groups", dir->path() / "unit", "--gtest_filter=JailTest.*"},
                                .environment = environment});
  ASSERT_TRUE(output) << output.error().describe();
  EXPECT_TRUE(output->exit.ok()) << output->out << output->err;
  EXPECT_NE(output->out.find("PASSED"), std::string::npos);
}

}  // namespace
}  // namespace locki::vm
