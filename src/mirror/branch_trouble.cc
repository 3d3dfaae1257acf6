#include "mirror/branch_trouble.h"

#include <algorithm>

#include "base/strings.h"

namespace locki::mirror {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShortPause{500};
constexpr milliseconds kFirstPause{3'000};
constexpr milliseconds kLastPause{60'000};
constexpr milliseconds kWorthTelling{5'000};  // a git command of everyday is over by then
constexpr milliseconds kLasting{10'000};      // as for a path that is in the way
constexpr std::size_t kMaxWhy = 1500;

}  // namespace

void BranchTrouble::happened(const std::string& why, Clock::time_point now) {
  if (none()) since_ = now, tries_ = 0;
  ++tries_;
  tried_ = now;
  outcome_of_ = begun_;
  why_ = printable(why, kMaxWhy);
}

void BranchTrouble::waits(const std::string& commit, const std::string& why, Clock::time_point now) {
  if (failed_) over();
  happened(why, now);
  retry_at_ = now + kShortPause;
  if (told_ || now < since_ + kWorthTelling) return;
  told_ = true;
  tell_({"problem", "", commit, "the branch waits: " + why_});
}

void BranchTrouble::fails(const std::string& commit, const std::string& why, Clock::time_point now) {
  const std::string before = failed_ ? why_ : "";
  if (!failed_) over();
  happened(why, now);
  failed_ = true;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLastPause);
  retry_at_ = now + pause_;
  if (before == why_) return;
  told_ = true;
  tell_({"stuck", "", commit, why_});
}

void BranchTrouble::over() {
  if (told_) tell_({"unstuck", "", "", ""});
  why_.clear();
  failed_ = told_ = false;
  pause_ = milliseconds(0);
  retry_at_ = {};
}

void BranchTrouble::hurry() {
  if (!none()) retry_at_ = std::min(retry_at_, tried_ + kShortPause);
}

bool BranchTrouble::lasts(Clock::time_point asked, Clock::time_point now) const {
  if (none() || outcome_of_ < asked) return false;
  return failed_ ? tries_ > 1 : now >= since_ + kLasting;
}

}  // namespace locki::mirror
