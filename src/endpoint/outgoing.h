// What streams to the host: contents of files it fetches and packs, one after the other in the order asked for. One
// thread.
#pragma once

#include <deque>
#include <optional>
#include <variant>

#include "base/hash.h"
#include "endpoint/link.h"
#include "endpoint/repository.h"
#include "mirror/tree.h"

namespace locki::endpoint {

class Outgoing {
 public:
  void push(wire::Fetch fetch) { waiting_.emplace_back(std::move(fetch)); }
  void push(wire::GitFetch fetch) { waiting_.emplace_back(std::move(fetch)); }

  // Sends a piece, or starts the next transfer, if the link wants data. False when nothing could be done now.
  bool pump(Link& link, const mirror::Tree& tree, const Repository& repository);
  // True when pump() would find work without waiting for a descriptor.
  bool ready() const { return file_ || (!pack_ && !waiting_.empty()); }
  // To poll for reading while the link wants data; -1 for none.
  int pack_fd() const { return pack_ ? pack_->process.pipe.get() : -1; }

 private:
  struct File {
    wire::Id id = 0;
    sys::Fd fd;
    std::uint64_t left = 0;
    Hash content;
    Blake2 hasher;
  };
  struct Pack {
    wire::Id id = 0;
    PackProcess process;
  };

  void start(Link& link, const mirror::Tree& tree, const Repository& repository);
  void start_file(Link& link, const mirror::Tree& tree, const wire::Fetch& fetch);
  void start_pack(Link& link, const Repository& repository, const wire::GitFetch& fetch);
  void send_file_piece(Link& link);
  bool send_pack_piece(Link& link);

  std::deque<std::variant<wire::Fetch, wire::GitFetch>> waiting_;
  std::optional<File> file_;
  std::optional<Pack> pack_;
};

}  // namespace locki::endpoint
