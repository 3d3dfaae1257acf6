// Unix sockets and the passing of descriptors over them (SCM_RIGHTS). Blocking; close-on-exec.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::sys {

// A listening stream socket, mode 0600 from the start. A stale file of the same name is replaced: hold a lock before.
Result<Fd> listen_unix(const std::filesystem::path& path, int backlog = 64);
// kUnavailable when nobody listens, kNotFound when there is no such file.
Result<Fd> connect_unix(const std::filesystem::path& path);
Result<Fd> accept_connection(int listener);
// The uid on the other end of a unix socket (SO_PEERCRED).
Result<uid_t> peer_uid(int socket);

struct Message {
  std::string data;
  std::vector<Fd> fds;
};
// One write with descriptors attached; data must not be empty.
Result<> send_message(int socket, std::string_view data, const std::vector<int>& fds);
// One read of at most `max_data` bytes and at most 8 descriptors (a peer that sends more is an error). Empty data: the end.
Result<Message> receive_message(int socket, std::size_t max_data);

}  // namespace locki::sys
