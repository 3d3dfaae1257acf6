#include "gate/resolver.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace locki::gate {
namespace {

constexpr std::size_t kMaxAddresses = 32;

Result<std::vector<Address>> look_up(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &list); error != 0)
    return fail(error == EAI_AGAIN ? ErrorKind::kUnavailable : ErrorKind::kNotFound,
                std::string("the name cannot be resolved: ") + ::gai_strerror(error));
  std::vector<Address> found;
  for (const addrinfo* each = list; each != nullptr && found.size() < kMaxAddresses; each = each->ai_next) {
    Address address;
    if (each->ai_family == AF_INET) {
      sockaddr_in in{};
      std::memcpy(&in, each->ai_addr, sizeof in);
      std::memcpy(address.bytes.data(), &in.sin_addr, 4);
    } else if (each->ai_family == AF_INET6) {
      sockaddr_in6 in{};
      std::memcpy(&in, each->ai_addr, sizeof in);
      address.family = Address::Family::kV6;
      std::memcpy(address.bytes.data(), &in.sin6_addr, 16);
    } else {
      continue;
    }
    if (std::find(found.begin(), found.end(), address) == found.end()) found.push_back(address);
  }
  ::freeaddrinfo(list);
  return found;
}

class SystemResolver : public Resolver {
 public:
  SystemResolver(std::size_t threads, std::size_t max_queued) : shared_(std::make_shared<Shared>()) {
    shared_->max_queued = max_queued;
    // Detached, because getaddrinfo cannot be interrupted: what they use is theirs too.
    for (std::size_t i = 0; i < threads; ++i) std::thread([shared = shared_] { work(*shared); }).detach();
  }
  ~SystemResolver() override {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->queue.clear();
    shared_->wake.notify_all();
  }
  SystemResolver(const SystemResolver&) = delete;
  SystemResolver& operator=(const SystemResolver&) = delete;

  void resolve(std::string name, Done done) override {
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->queue.size() < shared_->max_queued) {
        shared_->queue.push_back({std::move(name), std::move(done)});
        shared_->wake.notify_one();
        return;
      }
    }
    done(fail(ErrorKind::kUnavailable, "too many names are being resolved"));
  }

 private:
  struct Job {
    std::string name;
    Done done;
  };
  struct Shared {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Job> queue;
    std::size_t max_queued = 0;
    bool stopping = false;
  };

  static void work(Shared& shared) {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(shared.mutex);
        shared.wake.wait(lock, [&] { return shared.stopping || !shared.queue.empty(); });
        if (shared.stopping) return;
        job = std::move(shared.queue.front());
        shared.queue.pop_front();
      }
      try {
        job.done(look_up(job.name));
      } catch (const std::exception&) {
        log::error("gate: resolving a name ran out of memory");
      }
    }
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::shared_ptr<Resolver> make_system_resolver(std::size_t threads, std::size_t max_queued) {
  return std::make_shared<SystemResolver>(threads, max_queued);
}

}  // namespace locki::gate
