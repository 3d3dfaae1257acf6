#include "vm/qemu/jail/broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "vm/qemu/jail/capped_log.h"

namespace jail {

namespace {

struct Reply {
  int error = 0;
  const char* text = "";
  int fd = -1;
};

sockaddr_in socket_address(in_addr_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(host);
  return address;
}

Reply give_up(int fd, const char* text) {
  const int captured = errno;
  if (fd >= 0) ::close(fd);
  return {captured, text, -1};
}

// Never waits: the daemon finds out on its own descriptor when a connection takes its time.
Reply open_connection(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return give_up(fd, "cannot make a socket");
  const sockaddr_in address = socket_address(INADDR_LOOPBACK, port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
    return give_up(fd, "cannot connect");
  }
  return {0, "", fd};
}

Reply open_listener(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return give_up(fd, "cannot make a socket");
  const int on = 1;
  // On every address of the one interface: which one was called says who calls.
  const sockaddr_in address = socket_address(INADDR_ANY, port);
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 128) != 0) {
    return give_up(fd, "cannot listen");
  }
  return {0, "", fd};
}

Reply answer(const Options& options, std::string_view request) {
  const bool connects = request.starts_with("connect ");
  if ((!connects && !request.starts_with("listen ")) || !request.ends_with("\n")) return {EINVAL, "not a request", -1};
  const std::string_view digits = request.substr(connects ? 8 : 7, request.size() - (connects ? 9 : 8));
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return {EINVAL, "not a port", -1};
  const auto& ours = options.connect_ports;
  const auto& ranges = options.listen_ports;
  const bool allowed = connects ? std::find(ours.begin(), ours.end(), port) != ours.end()
                                : std::any_of(ranges.begin(), ranges.end(), [&](const auto& each) { return each.first <= port && port <= each.second; });
  if (!allowed) return {EACCES, "not a port of this jail", -1};
  return connects ? open_connection(port) : open_listener(port);
}

void send_reply(int client, const Reply& reply) {
  std::array<char, 96> line{};
  std::size_t size = 3;
  std::memcpy(line.data(), "ok\n", 3);
  if (reply.error != 0) {
    std::memcpy(line.data(), "error ", 6);
    char* at = std::to_chars(line.data() + 6, line.data() + 20, reply.error).ptr;
    *at++ = ' ';
    at = std::copy_n(reply.text, std::min<std::size_t>(std::strlen(reply.text), 60), at);
    *at++ = '\n';
    size = static_cast<std::size_t>(at - line.data());
  }
  iovec io{line.data(), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (reply.fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &reply.fd, sizeof(int));
  }
  (void)::sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// The socket lies in a 0700 directory of the daemon's user, whose uid is the only one that exists in here.
void serve_one(const Options& options) {
  const int client = ::accept4(kBrokerFd, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  ucred peer{};
  socklen_t length = sizeof peer;
  const timeval patience{1, 0};
  std::array<char, 32> request{};
  if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == options.uid &&
      ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0) {
    const ssize_t n = ::recv(client, request.data(), request.size(), 0);
    if (n > 0) {
      const Reply reply = answer(options, {request.data(), static_cast<std::size_t>(n)});
      send_reply(client, reply);
      if (reply.fd >= 0) ::close(reply.fd);
    }
  }
  ::close(client);
}

void note_exit(int status) {
  std::array<char, 32> line{};
  const std::string_view word = WIFSIGNALED(status) ? "killed " : "exited ";
  std::memcpy(line.data(), word.data(), word.size());
  char* at = std::to_chars(line.data() + word.size(), line.data() + 24, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)).ptr;
  *at++ = '\n';
  [[maybe_unused]] const auto n = ::write(kExitFd, line.data(), static_cast<std::size_t>(at - line.data()));
}

}  // namespace

void run_broker(const Options& options, const Running& running) {
  CappedLog console(running.console, kConsoleFd);
  CappedLog messages(running.messages, kMessagesFd);
  for (;;) {
    std::array<pollfd, 4> polls{{{running.pidfd, POLLIN, 0}, {console.in(), POLLIN, 0}, {messages.in(), POLLIN, 0}, {kBrokerFd, POLLIN, 0}}};
    if (::poll(polls.data(), polls.size(), -1) < 0) continue;
    if (polls[1].revents != 0) console.copy_some();
    if (polls[2].revents != 0) messages.copy_some();
    if (polls[3].revents != 0) serve_one(options);
    if (polls[0].revents != 0) break;
  }
  int status = 0;
  while (::waitpid(running.program, &status, 0) < 0 && errno == EINTR) {
  }
  // What was written last is what explains the end. Both ends are ours alone now, so this ends.
  while (console.in() >= 0) console.copy_some();
  while (messages.in() >= 0) messages.copy_some();
  note_exit(status);
  ::_exit(0);
}

}  // namespace jail
