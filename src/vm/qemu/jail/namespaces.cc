#include "vm/qemu/jail/namespaces.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "vm/qemu/jail/report.h"

namespace jail {

namespace {

void write_to(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) die(errno, "cannot write ", path);
  ::close(fd);
}

void enter(int flag, const char* name) {
  if (::unshare(flag) != 0) die(errno, "cannot make a namespace: ", name);
}

void set_address(ifreq& request, const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, text, &address.sin_addr);
  std::memcpy(&request.ifr_addr, &address, sizeof address);
}

void bring_loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd < 0 || ::ioctl(fd, SIOCSIFFLAGS, &request) != 0) die(errno, "cannot bring up the loopback interface");
  // A prefix on a loopback interface makes every address in it a local one (the kernel's fib_add_ifaddr): a listener then learns from
  // the address that was called which client it is (vm/driver.h: kClientNetwork). A range for tests of devices (RFC 2544) that is on no
  // real network, and this namespace has no other way out anyway.
  std::memcpy(request.ifr_name, "lo:0", 5);
  set_address(request, "198.19.0.1");
  bool set = ::ioctl(fd, SIOCSIFADDR, &request) == 0;
  set_address(request, "255.255.0.0");
  set = set && ::ioctl(fd, SIOCSIFNETMASK, &request) == 0;
  if (!set) die(errno, "cannot give the loopback interface its addresses");
  ::close(fd);
  // Ports 80 and 443 are served in this namespace by processes without any capability.
  write_to("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

}  // namespace

void enter_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  // Only root may let its groups go. An ordinary user keeps them: there is nothing in the room that they could open.
  if (uid == 0) (void)::setgroups(0, nullptr);
  enter(CLONE_NEWUSER, "user");
  write_to("/proc/self/setgroups", "deny");
  write_to("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1");
  write_to("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(gid) + " 1");
}

void enter_other_namespaces() {
  enter(CLONE_NEWNS, "mount");
  enter(CLONE_NEWNET, "network");
  enter(CLONE_NEWIPC, "ipc");
  enter(CLONE_NEWUTS, "uts");
  if (::sethostname("locki", 5) != 0) die(errno, "cannot set the host name");
  bring_loopback_up();
}

}  // namespace jail
