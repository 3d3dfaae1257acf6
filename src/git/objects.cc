#include "git/objects.h"

#include <algorithm>

#include "base/strings.h"

namespace locki::git {
namespace {

constexpr std::size_t kHead = 64 << 10;         // of a blob beyond the limit
constexpr std::uint64_t kBatch = 64ULL << 20;   // bytes asked for at once
constexpr std::size_t kBatchCount = 4096;

// One item of a list that NULs end.
std::string_view take(std::string_view& rest) {
  const auto end = std::min(rest.find('\0'), rest.size());
  const std::string_view item = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return item;
}

std::string lines_of(const std::vector<ObjectId>& ids, std::size_t from, std::size_t to) {
  std::string out;
  for (std::size_t i = from; i < to; ++i) out += ids[i] + "\n";
  return out;
}

Result<std::vector<std::uint64_t>> sizes_of(const MakeCommand& command, const std::vector<ObjectId>& ids) {
  TRY_ASSIGN(const std::string out, sys::run_ok(command({"cat-file", "--batch-check=%(objecttype) %(objectsize)"}), lines_of(ids, 0, ids.size()), {.timeout = std::chrono::minutes(5)}));
  const auto lines = split_lines(out);
  if (lines.size() != ids.size()) return fail(ErrorKind::kProtocol, "git cat-file ended early");
  std::vector<std::uint64_t> sizes;
  for (const std::string& line : lines) {
    const auto words = split(line, ' ');
    const auto size = words.size() == 2 && words[0] == "blob" ? parse_u64(words[1]) : std::nullopt;
    if (!size) return fail(ErrorKind::kProtocol, "an object is missing, or no blob");
    sizes.push_back(*size);
  }
  return sizes;
}

// What comes after the limit is not waited for.
Result<std::string> head_of(const MakeCommand& command, const ObjectId& id) {
  TRY_ASSIGN(auto pipe, sys::make_pipe());
  auto spec = command({"cat-file", "blob", id});
  spec.out = pipe.write.get();
  TRY_ASSIGN(auto child, sys::spawn(spec));
  pipe.write.reset();
  std::string head(kHead, '\0');
  std::size_t have = 0;
  while (have < head.size()) {
    TRY_ASSIGN(const std::size_t n, sys::read_some(pipe.read.get(), reinterpret_cast<std::uint8_t*>(head.data()) + have, head.size() - have));
    if (n == 0) break;
    have += n;
  }
  head.resize(have);
  return head;  // the child is killed
}

}  // namespace

Result<std::string_view> BatchReader::next(std::string_view type) {
  const auto end = out_.find('\n');
  if (end == std::string_view::npos) return fail(ErrorKind::kProtocol, "an object is missing");
  const auto words = split(out_.substr(0, end), ' ');
  if (words.size() != 3 || words[1] != type) return fail(ErrorKind::kProtocol, "an object is not a " + std::string(type));
  const auto size = parse_u64(words[2]);
  if (!size || out_.size() - end - 1 < *size + 1) return fail(ErrorKind::kProtocol, "git cat-file ended early");
  const std::string_view bytes = out_.substr(end + 1, *size);
  out_.remove_prefix(end + 1 + *size + 1);
  return bytes;
}

Result<std::vector<RawChange>> parse_raw_changes(std::string_view out) {
  // ":<old mode> <new mode> <old oid> <new oid> <status>\0<path>\0"
  std::vector<RawChange> changes;
  while (!out.empty()) {
    auto words = split(take(out), ' ');
    const std::string_view path = take(out);
    if (words.size() != 5 || !words[0].starts_with(':') || !is_object_id(words[2]) || !is_object_id(words[3]) || path.empty())
      return fail(ErrorKind::kProtocol, "git said something unexpected about changes");
    changes.push_back({words[0].substr(1), std::move(words[1]), std::move(words[2]), std::move(words[3]), std::string(path)});
  }
  return changes;
}

Result<std::vector<TreeEntry>> parse_tree_listing(std::string_view out) {
  // "<mode> <type> <oid>\t<path>\0"
  std::vector<TreeEntry> entries;
  while (!out.empty()) {
    const std::string_view item = take(out);
    const auto tab = item.find('\t');
    auto words = split(item.substr(0, tab), ' ');
    if (tab == std::string_view::npos || words.size() != 3 || !is_object_id(words[2])) return fail(ErrorKind::kProtocol, "git ls-tree said something unexpected");
    entries.push_back({std::move(words[0]), std::move(words[2]), std::string(item.substr(tab + 1))});
  }
  return entries;
}

Result<std::vector<Blob>> read_blobs(const MakeCommand& command, const std::vector<ObjectId>& ids, std::uint64_t limit) {
  std::vector<Blob> blobs(ids.size());
  if (ids.empty()) return blobs;
  TRY_ASSIGN(const auto sizes, sizes_of(command, ids));
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (sizes[i] <= limit) {
      wanted.push_back(i);
      continue;
    }
    TRY_ASSIGN(blobs[i].content, head_of(command, ids[i]));
    blobs[i].whole = false;
  }
  for (std::size_t start = 0; start < wanted.size();) {
    std::uint64_t total = 0;
    std::string question;
    std::size_t end = start;
    while (end < wanted.size() && end - start < kBatchCount && (end == start || total + sizes[wanted[end]] <= kBatch)) {
      total += sizes[wanted[end]];
      question += ids[wanted[end]] + "\n";
      ++end;
    }
    TRY_ASSIGN(const std::string out, sys::run_ok(command({"cat-file", "--batch"}), question, {.timeout = std::chrono::minutes(5), .max_output = total + (end - start) * 128}));
    BatchReader reader(out);
    for (; start < end; ++start) {
      TRY_ASSIGN(const std::string_view bytes, reader.next("blob"));
      blobs[wanted[start]].content = bytes;
    }
  }
  return blobs;
}

}  // namespace locki::git
