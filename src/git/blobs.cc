#include "git/blobs.h"

#include "base/strings.h"

namespace locki::git {
namespace {

constexpr std::uint64_t kAtOnce = 64 << 20;  // bytes of one answer
constexpr std::size_t kMostAtOnce = 20'000;

struct Blob {
  std::size_t index;
  std::uint64_t size;
};

// "<oid> SP <type> SP <size>" for each.
Result<std::vector<Blob>> sizes(const std::function<sys::ProcessSpec(std::vector<std::string>)>& command,
                                const std::vector<ObjectId>& oids, std::uint64_t limit) {
  std::string question;
  for (const ObjectId& oid : oids) question += oid + "\n";
  TRY_ASSIGN(const std::string answer, sys::run_ok(command({"cat-file", "--batch-check=%(objecttype) %(objectsize)"}), question));
  std::vector<Blob> blobs;
  std::size_t index = 0;
  for (const std::string& line : split_lines(answer)) {
    const auto words = split(line, ' ');
    const auto size = words.size() == 2 && words[0] == "blob" ? parse_u64(words[1]) : std::nullopt;
    if (size && *size <= limit) blobs.push_back({index, *size});
    ++index;
  }
  if (index != oids.size()) return fail(ErrorKind::kFailed, "git did not answer for every object");
  return blobs;
}

}  // namespace

Result<> read_blobs(const std::function<sys::ProcessSpec(std::vector<std::string> args)>& command,
                    const std::vector<ObjectId>& oids, std::uint64_t limit,
                    const std::function<void(std::size_t index, std::string_view content)>& each) {
  if (oids.empty()) return {};
  TRY_ASSIGN(const std::vector<Blob> blobs, sizes(command, oids, limit));
  for (std::size_t from = 0; from < blobs.size();) {
    std::string question;
    std::uint64_t bytes = 0;
    std::size_t to = from;
    for (; to < blobs.size() && to - from < kMostAtOnce && (to == from || bytes + blobs[to].size <= kAtOnce); ++to) {
      question += oids[blobs[to].index] + "\n";
      bytes += blobs[to].size + 128;
    }
    TRY_ASSIGN(const std::string answer, sys::run_ok(command({"cat-file", "--batch"}), question,
                                                     {.timeout = std::chrono::minutes(10), .max_output = bytes + 4096}));
    std::string_view left = answer;
    for (; from < to; ++from) {
      const auto line = left.find('\n');
      if (line == std::string_view::npos || left.size() < line + 1 + blobs[from].size + 1)
        return fail(ErrorKind::kFailed, "git's answer is shorter than it says");
      each(blobs[from].index, left.substr(line + 1, blobs[from].size));
      left.remove_prefix(line + 1 + blobs[from].size + 1);
    }
  }
  return {};
}

}  // namespace locki::git
