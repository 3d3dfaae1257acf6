#include "term/fuzzy.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace locki::term {
namespace {

constexpr int kNever = std::numeric_limits<int>::min() / 2;
constexpr std::size_t kMaxLength = 256;  // of a candidate: the table below is quadratic

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
char lower(char c) { return is_upper(c) ? static_cast<char>(c + 32) : c; }

bool begins_word(std::string_view text, std::size_t at) {
  if (at == 0) return true;
  const char before = text[at - 1];
  return before == '-' || before == '_' || before == '/' || before == '.' || before == ' ' || (is_lower(before) && is_upper(text[at]));
}

// The best way to lay the query over the candidate: ends[i] is the best score of the query so far with its last character at i.
int alignment(std::string_view query, std::string_view candidate, bool exact_case) {
  std::vector<int> ends(candidate.size(), kNever), next(candidate.size());
  for (std::size_t q = 0; q < query.size(); ++q) {
    int best_before = q == 0 ? 0 : kNever;  // the best end anywhere before i-1
    for (std::size_t i = 0; i < candidate.size(); ++i) {
      const bool matches = exact_case ? candidate[i] == query[q] : lower(candidate[i]) == lower(query[q]);
      const int follows = q > 0 && i > 0 ? ends[i - 1] : kNever;
      next[i] = kNever;
      if (matches) {
        const int start = q == 0 ? -static_cast<int>(std::min<std::size_t>(i, 15)) : 0;
        const int alone = best_before == kNever ? kNever : best_before + 10 + start + (begins_word(candidate, i) ? 40 : 0);
        const int run = follows == kNever ? kNever : follows + 10 + 45;  // a run beats even scattered beginnings of words
        next[i] = std::max(alone, run);
      }
      if (q > 0 && i > 0) best_before = std::max(best_before, ends[i - 1]);
    }
    std::swap(ends, next);
  }
  return *std::max_element(ends.begin(), ends.end());
}

}  // namespace

std::optional<int> fuzzy_score(std::string_view query, std::string_view candidate) {
  if (query.empty()) return 0;
  candidate = candidate.substr(0, kMaxLength);
  if (query.size() > candidate.size()) return std::nullopt;
  const bool exact_case = std::any_of(query.begin(), query.end(), is_upper);
  const int score = alignment(query, candidate, exact_case);
  if (score <= kNever / 2) return std::nullopt;
  const auto lowered = ascii_lower(candidate);
  const auto asked = ascii_lower(query);
  int bonus = 0;
  if (lowered == asked) bonus = 1000;
  else if (lowered.starts_with(asked)) bonus = 300;
  return score * 4 + bonus - static_cast<int>(candidate.size() - query.size());
}

std::vector<std::size_t> fuzzy_rank(std::string_view query, const std::vector<std::string>& candidates) {
  std::vector<std::pair<int, std::size_t>> scored;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (const auto score = fuzzy_score(query, candidates[i])) scored.emplace_back(*score, i);
  }
  std::stable_sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::size_t> order;
  for (const auto& [score, index] : scored) order.push_back(index);
  return order;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment; three rows.
  std::vector<std::size_t> two(b.size() + 1), one(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) one[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = one[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({one[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], two[j - 2] + 1);
    }
    std::swap(two, one);
    std::swap(one, row);
  }
  return one[b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& words) {
  std::string best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto& candidate : words) {
    const auto distance = edit_distance(word.substr(0, 64), candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace locki::term
