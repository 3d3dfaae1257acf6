#include "mirror/durability.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kIdleFor{1000};   // when nothing moves
constexpr milliseconds kAtMost{10'000};  // while something does
constexpr milliseconds kRetry{10'000};
constexpr milliseconds kPatience{120'000};
constexpr std::size_t kMostSingly = 300;
constexpr std::size_t kMostInDoubt = 3'000'000;

}  // namespace

std::string mark_name(const std::string& instance, std::uint64_t number) { return instance + ":" + std::to_string(number); }

std::uint64_t mark_number(const std::string& instance, std::string_view name) {
  if (!name.starts_with(instance + ":")) return 0;
  return parse_u64(name.substr(instance.size() + 1)).value_or(0);
}

Durability::Durability(std::vector<sys::Fd> disks, Context context)
    : disks_(std::move(disks)), context_(std::move(context)) {}

std::optional<Durability::Clock::time_point> Durability::next() const {
  if (pending_ || !since_) return std::nullopt;
  auto at = *since_ + kAtMost;
  if (idle_since_) at = std::min(at, *idle_since_ + kIdleFor);
  return std::max(at, not_before_);
}

Result<> Durability::step(Clock::time_point now, bool idle) {
  if (pending_) {
    if (pending_->host && pending_->host->over()) {
      auto outcome = pending_->host->outcome();
      pending_->host.reset();
      if (!outcome) failed("on the host: " + outcome.error().describe(), now);
    }
    if (pending_ && pending_->far_done && !far_problem_.empty()) failed("inside: " + far_problem_, now);
    if (pending_ && now - pending_->begun > kPatience) failed("it takes longer than two minutes", now);
    if (pending_ && pending_->far_done && !pending_->host) TRY(end(now));
    return {};
  }
  const Trail& trail = context_.base->trail();
  if (!wanted()) {
    since_.reset();
    hurried_ = false;
    return {};
  }
  if (trail.size() > kMostInDoubt)
    return fail(ErrorKind::kNoSpace, "the sandbox changes more than it writes to its disk");
  if (!since_) since_ = now;
  if (!idle) idle_since_.reset();
  else if (!idle_since_) idle_since_ = now;
  if (hurried_ || now >= *next()) return begin(now, idle);
  return {};
}

// A few files one by one: on the same disk lies the machine's image, which has its own time for being written.
Result<sys::Flush> Durability::begin_host() const {
  const auto& paths = context_.base->trail().paths();
  if (context_.base->marks() > 0 && paths.size() <= kMostSingly) {
    std::vector<std::string> names;
    for (const auto& [path, versions] : paths) names.push_back(path);
    return sys::Flush::begin(disks_.front().get(), std::move(names));
  }
  std::vector<int> disks;
  for (const sys::Fd& disk : disks_) disks.push_back(disk.get());
  return sys::Flush::begin(disks);
}

Result<> Durability::begin(Clock::time_point now, bool idle) {
  auto flush = begin_host();
  if (!flush) return failed(flush.error().describe(), now), Result<>();
  hurried_ = false;
  far_problem_.clear();
  pending_ = Pending{.position = context_.base->trail().position(), .idle = idle, .begun = now, .host = std::move(*flush)};
  far_id_ = ++*context_.last_id;
  context_.door->expect_done(far_id_);
  context_.stream->send(wire::Flush{far_id_, mark_name(context_.base->instance(), context_.base->marks() + 1)});
  return {};
}

void Durability::done(const wire::Done& done) {
  far_id_ = 0;
  if (!pending_) return;
  pending_->far_done = true;
  if (done.status != wire::DoneStatus::kOk) far_problem_ = done.message.empty() ? "refused" : printable(done.message);
}

Result<> Durability::end(Clock::time_point now) {
  sys::fault_point("durable.flushed");
  const Pending ended = std::move(*pending_);
  pending_.reset();
  told_.clear();
  TRY(context_.base->mark(ended.position, ended.idle));
  since_.reset();
  idle_since_.reset();
  not_before_ = now;
  return {};
}

void Durability::failed(const std::string& why, Clock::time_point now) {
  pending_.reset();
  not_before_ = now + kRetry;
  if (std::exchange(told_, why) != why) context_.tell({"problem", "", "", "what was agreed could not be written to the disk: " + why});
}

}  // namespace locki::mirror
