#include "git/history_pack.h"

#include <chrono>

#include "base/strings.h"
#include "git/pack.h"

namespace locki::git {

Result<std::uint64_t> stored_bytes(const Repository& repository) {
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"count-objects", "-v"})));
  std::uint64_t kibibytes = 0;
  for (const auto& line : split_lines(out)) {
    const auto words = split(line, ' ');
    if (words.size() == 2 && (words[0] == "size:" || words[0] == "size-pack:")) kibibytes += parse_u64(words[1]).value_or(0);
  }
  return kibibytes << 10;
}

Result<std::uint64_t> difference_bytes(const Repository& repository, const ObjectId& tip, const ObjectId& have) {
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"rev-list", "--disk-usage", "--objects", tip, "^" + have, "--"}), {},
                                                {.timeout = std::chrono::minutes(10)}));
  const auto bytes = parse_u64(trim(out));
  if (!bytes) return fail(ErrorKind::kFailed, "git rev-list answered something unexpected");
  return *bytes;
}

Result<HistoryPack> write_history_pack(const Repository& repository, const ObjectId& tip, const std::vector<ObjectId>& boundary, const fs::path& directory) {
  TRY_ASSIGN(const std::string revisions, pack_revisions(repository, tip, {}, boundary));
  auto packer = repository.common_command({"-c", "pack.writeReverseIndex=true", "-c", "pack.packSizeLimit=0", "pack-objects", "--revs",
                                           "--delta-base-offset", "--quiet", "--threads=2", (directory / "pack").string()});
  packer.parent_death_signal = SIGKILL;
  TRY_ASSIGN(const std::string out, sys::run_ok(packer, revisions, {.timeout = std::chrono::hours(1)}));
  const std::string hash(trim(out));
  if (!is_object_id(hash)) return fail(ErrorKind::kFailed, "git pack-objects answered something unexpected");
  HistoryPack pack;
  for (const char* kind : {".pack", ".rev", ".idx"}) {
    const fs::path file = directory / ("pack-" + hash + kind);
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error && std::string_view(kind) == ".rev") continue;  // git before 2.31
    if (error) return fail_errno(error.value(), "cannot see '" + file.string() + "'");
    pack.files.push_back(file);
    pack.bytes += size;
  }
  return pack;
}

}  // namespace locki::git
