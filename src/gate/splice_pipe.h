// Bytes from one socket to another without a copy through this process: splice(2) by way of a pipe. Pipes are lent by a
// pool, so that only connections with bytes on the way hold one, and each owner (a sandbox) has a share. Whatever happens, a pipe with bytes left in it is
// closed and never lent again: they are another sandbox's. Loop thread only; the pool outlives what it lends.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "gate/address.h"
#include "gate/socket_ops.h"
#include "sys/fd.h"

namespace locki::gate {

class PipePool;

// A pipe on loan, or none. Gives itself back when it is empty, and is closed otherwise.
class SplicePipe {
 public:
  SplicePipe() = default;
  SplicePipe(SplicePipe&& other) noexcept;
  SplicePipe& operator=(SplicePipe&& other) noexcept;
  ~SplicePipe() { reset(); }
  void reset();

  explicit operator bool() const { return pool_ != nullptr; }
  std::size_t held() const { return held_; }  // bytes in it

  // At most so many bytes (1 or more) from socket to pipe, which must be empty (else "the socket has nothing" and "the pipe is full" would look the same).
  // nullopt: what this is cannot be spliced here, and nothing was taken.
  std::optional<Transfer> fill(int from, std::size_t most);
  // Pipe to socket. SIGPIPE must be blocked or ignored: splice(2) knows no MSG_NOSIGNAL.
  Transfer drain(int to);

 private:
  friend class PipePool;
  SplicePipe(PipePool& pool, const Address& owner, sys::Pipe ends) : pool_(&pool), owner_(owner), ends_(std::move(ends)) {}
  PipePool* pool_ = nullptr;
  Address owner_;
  sys::Pipe ends_;
  std::size_t held_ = 0;
};

class PipePool {
 public:
  // At most so many at once; two descriptors each. Who gets none copies.
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kSpare = 8;  // empty ones that are kept for the next

  PipePool();
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;
  // None when the owner has its share or the system gives no more. An owner gets one for as long as it has fewer than are free: a single one
  // has half of them at most, N of them have an N+1-th each, and whoever comes next finds some (the dynamic threshold of Choudhury and Hahne).
  SplicePipe lend(const Address& owner);
  std::size_t lent() const { return lent_; }

 private:
  friend class SplicePipe;
  void take_back(const Address& owner, sys::Pipe ends, bool clean);
  std::vector<sys::Pipe> spare_;
  std::map<Address, std::size_t> lent_to_;  // by owner
  std::size_t lent_ = 0;
};

}  // namespace locki::gate
