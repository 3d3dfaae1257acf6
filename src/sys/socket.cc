#include "sys/socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace locki::sys {

namespace {

constexpr std::size_t kMaxFds = 8;

// sun_path holds 107 bytes: a longer path goes through a descriptor of its directory.
struct Address {
  sockaddr_un address{};
  socklen_t length = 0;
  Fd directory;
};

Result<Address> address_of(const std::filesystem::path& path) {
  Address out;
  out.address.sun_family = AF_UNIX;
  std::string name = path.native();
  if (name.size() >= sizeof out.address.sun_path) {
    out.directory.reset(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!out.directory) return fail_errno(errno, "cannot open " + printable(path.parent_path().native()));
    name = "/proc/self/fd/" + std::to_string(out.directory.get()) + "/" + path.filename().native();
    if (name.size() >= sizeof out.address.sun_path) return fail(ErrorKind::kFailed, "socket path too long: " + printable(path.native()));
  }
  std::memcpy(out.address.sun_path, name.c_str(), name.size() + 1);
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1);
  return out;
}

Result<Fd> stream_socket() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail_errno(errno, "cannot make a socket");
  return Fd(fd);
}

}  // namespace

Result<Fd> listen_unix(const std::filesystem::path& path, int backlog) {
  TRY_ASSIGN(Address at, address_of(path));
  TRY_ASSIGN(Fd fd, stream_socket());
  ::unlink(path.c_str());
  // The directory is 0700; fchmod before bind makes the file itself 0600 as well (Linux applies the socket's mode on bind).
  ::fchmod(fd.get(), 0600);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at.address), at.length) != 0) {
    return fail_errno(errno, "cannot bind " + printable(path.native()));
  }
  if (::listen(fd.get(), backlog) != 0) return fail_errno(errno, "cannot listen on " + printable(path.native()));
  return fd;
}

Result<Fd> connect_unix(const std::filesystem::path& path) {
  TRY_ASSIGN(Address at, address_of(path));
  TRY_ASSIGN(Fd fd, stream_socket());
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at.address), at.length) != 0) {
    if (errno != EINTR) return fail_errno(errno, "cannot connect to " + printable(path.native()));
  }
  return fd;
}

Result<Fd> accept_connection(int listener) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR && errno != ECONNABORTED) return fail_errno(errno, "cannot accept a connection");
  }
}

Result<uid_t> peer_uid(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return fail_errno(errno, "cannot see who connected");
  return credentials.uid;
}

Result<> send_message(int socket, std::string_view data, const std::vector<int>& fds) {
  if (data.empty() || fds.size() > kMaxFds) return fail(ErrorKind::kFailed, "a message needs data and at most 8 descriptors");
  iovec io{const_cast<char*>(data.data()), data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t n = 0;
  do {
    n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(errno, "cannot send a message");
  return write_all(socket, data.substr(static_cast<std::size_t>(n)));
}

Result<Message> receive_message(int socket, std::size_t max_data) {
  Message out;
  out.data.resize(max_data);
  iovec io{out.data.data(), out.data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(errno, "cannot receive a message");
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      out.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) return fail(ErrorKind::kProtocol, "too many descriptors in one message");
  out.data.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace locki::sys
