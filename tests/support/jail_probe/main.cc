// Looks around from inside a jail and says what it sees: "KEY VALUE" lines on stdout. Then, as told: `serve` echoes on 127.0.0.1:8443 until
// it reads "bye" (exit status 7), having connected to 127.0.0.1:3128 on "call"; `flood` writes 5 MiB and ends; `wait` sleeps.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

void say(const char* key, const std::string& value) { std::printf("%s %s\n", key, value.c_str()); }
void say(const char* key, long value) { std::printf("%s %ld\n", key, value); }

// "ok" or the name of the error.
std::string outcome(long result) { return result >= 0 ? "ok" : strerrorname_np(errno); }

std::string entries(const char* path) {
  DIR* dir = ::opendir(path);
  if (dir == nullptr) return outcome(-1);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "" : ",") + name;
  return all;
}

std::string opening(const char* path, int flags) {
  const int fd = ::open(path, flags, 0600);
  const std::string result = outcome(fd);
  if (fd >= 0) ::close(fd);
  return result;
}

void say_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  ::syscall(SYS_capget, &header, data);
  long any = 0, bounding = 0, ambient = 0;
  for (const auto& part : data) any |= static_cast<long>(part.effective | part.permitted | part.inheritable);
  for (int i = 0; i < 64; ++i) {
    bounding += ::prctl(PR_CAPBSET_READ, i) == 1;
    ambient += ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1;
  }
  say("capabilities", any);
  say("bounding", bounding);
  say("ambient", ambient);
}

std::string interfaces() {
  std::string all;
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  for (int index = 1; index < 200; ++index) {
    ifreq request{};
    request.ifr_ifindex = index;
    if (::ioctl(fd, SIOCGIFNAME, &request) == 0) all += (all.empty() ? "" : ",") + std::string(request.ifr_name);
  }
  ::close(fd);
  return all;
}

sockaddr_in address(const char* host, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host, &a.sin_addr);
  return a;
}

std::string connecting(const char* host, int port, const char* text = nullptr) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = address(host, port);
  const std::string result = outcome(::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a));
  if (result == "ok" && text != nullptr) (void)!::write(fd, text, std::strlen(text));
  ::close(fd);
  return result;
}

std::string secret() {
  char buffer[100] = {};
  const int fd = ::open("/run/secret", O_RDONLY);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0 || ::read(fd, buffer, 99) < 0) return outcome(-1);
  ::close(fd);
  return std::string(buffer) + "," + std::to_string(status.st_mode & 0777);
}

void look_around(char** environment) {
  say("uid", ::getuid());
  say("pid", ::getpid());
  say_capabilities();
  say("no_new_privs", ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  say("seccomp", ::prctl(PR_GET_SECCOMP));
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  say("core", static_cast<long>(core.rlim_max));
  say("interfaces", interfaces());
  say("outside", connecting("192.0.2.1", 80));
  for (const char* path : {"/", "/dev", "/disks", "/run", "/tmp"}) say((std::string("entries:") + path).c_str(), entries(path));
  for (const char* path : {"/new", "/dev/new", "/disks/new", "/tmp/new"}) {
    say((std::string("create:") + path).c_str(), opening(path, O_WRONLY | O_CREAT | O_EXCL));
  }
  say("write:/disks/ro", opening("/disks/ro", O_RDWR));
  say("write:/disks/rw", opening("/disks/rw", O_RDWR));
  say("write:/probe", opening("/probe", O_RDWR));
  say("read:/dev/urandom", opening("/dev/urandom", O_RDONLY));
  say("secret", secret());
  say("unshare", outcome(::unshare(CLONE_NEWUSER)));
  say("mount", outcome(::mount("none", "/tmp", "tmpfs", 0, nullptr)));
  say("clone", outcome(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)));
  say("clone3", outcome(::syscall(SYS_clone3, nullptr, 0)));
  say("io_uring", outcome(::syscall(SYS_io_uring_setup, 1, nullptr)));
  say("vsock", outcome(::socket(AF_VSOCK, SOCK_STREAM, 0)));
  say("netlink", outcome(::socket(AF_NETLINK, SOCK_RAW, 0)));
  say("ptrace", outcome(::ptrace(PTRACE_ATTACH, 1, nullptr, nullptr)));
  ::kill(1, SIGKILL);  // the kernel keeps it from process 1
  std::string descriptors;
  long variables = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) descriptors += (fd == 0 ? "" : ",") + std::to_string(fd);
  }
  for (char** at = environment; *at != nullptr; ++at) ++variables;
  say("descriptors", descriptors);
  say("variables", variables);
  say("ready", "yes");
  std::fflush(stdout);
}

int serve() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = address("127.0.0.1", 8443);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 || ::listen(listener, 5) != 0) return 1;
  std::printf("serving yes\n");
  std::fflush(stdout);
  for (;;) {
    const int client = ::accept(listener, nullptr, nullptr);
    char buffer[100];
    const ssize_t n = ::read(client, buffer, sizeof buffer);
    const std::string request(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    if (request == "call") connecting("127.0.0.1", 3128, "from inside");
    if (n > 0) (void)!::write(client, buffer, static_cast<std::size_t>(n));
    ::close(client);
    if (request == "bye") {
      std::fputs("leaving \033]0;title\007\n", stderr);
      return 7;
    }
  }
}

}  // namespace

int main(int argc, char** argv, char** environment) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "flood") {
    for (int i = 0; i < 65536; ++i) std::printf("line %07d %s\n", i, std::string(65, 'x').c_str());
    return 0;
  }
  if (mode == "wait") {
    for (;;) ::pause();
  }
  look_around(environment);
  return serve();
}
