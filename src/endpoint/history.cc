#include "endpoint/history.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/strings.h"
#include "sys/file.h"

namespace locki::endpoint {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPiece = 1 << 20;

Result<> take(int in, int out, std::uint64_t size, const Hash& hash) {
  Blake2 hasher;
  std::vector<std::uint8_t> piece(kPiece);
  std::uint64_t taken = 0;
  for (;;) {
    const ssize_t got = ::read(in, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read what was sent");
    if (got == 0) break;
    const ByteView bytes(piece.data(), static_cast<std::size_t>(got));
    if (bytes.size() > size - taken) return fail(ErrorKind::kCorrupt, "more came than was promised");
    taken += bytes.size();
    hasher.update(bytes);
    TRY(sys::write_all(out, bytes));
  }
  if (taken != size) return fail(ErrorKind::kCorrupt, "less came than was promised");
  if (hasher.finish() != hash) return fail(ErrorKind::kCorrupt, "what came is not what was sent");
  if (::fsync(out) != 0) return fail_errno(errno, "cannot write it to the disk");
  return {};
}

// In the order in which they may appear.
Result<std::vector<fs::path>> pack_files(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("pack-") && !entry.path().extension().empty()) files.push_back(entry.path());
  }
  if (error) return fail_errno(error.value(), "cannot list '" + directory.string() + "'");
  std::sort(files.begin(), files.end());
  std::stable_partition(files.begin(), files.end(), [](const fs::path& file) { return file.extension() != ".idx"; });
  return files;
}

Result<> share(const fs::path& from, const fs::path& to) {
  {
    TRY_ASSIGN(const sys::Fd in, sys::open_file(from, O_RDONLY));
    TRY_ASSIGN(const sys::Fd out, sys::open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0444));
    if (::ioctl(out.get(), FICLONE, in.get()) == 0) return {};
    if (errno != EOPNOTSUPP && errno != EXDEV && errno != EINVAL && errno != ENOTTY) return fail_errno(errno, "cannot share '" + from.string() + "'");
  }
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  return error ? fail_errno(error.value(), "cannot copy '" + from.string() + "'") : Result<>();
}

}  // namespace

Result<> take_file(int in, const fs::path& file, std::uint64_t size, const Hash& hash) {
  TRY_ASSIGN(const sys::Fd out, sys::open_file(file, O_WRONLY | O_CREAT | O_EXCL, 0444));
  auto taken = take(in, out.get(), size, hash);
  if (!taken) ::unlink(file.c_str());
  return taken;
}

Result<> link_history(const fs::path& from, const fs::path& to) {
  TRY_ASSIGN(const auto files, pack_files(from));
  if (files.empty()) return fail(ErrorKind::kNotFound, "there is no history in '" + from.string() + "'");
  TRY(sys::remove_tree(to));
  TRY(sys::make_directories(to, 0700));
  for (const auto& file : files) TRY(share(file, to / file.filename()));
  return {};
}

Result<> adopt_history(const fs::path& from, const fs::path& git_directory) {
  std::error_code error;
  if (!fs::exists(from, error)) return {};
  TRY_ASSIGN(const auto files, pack_files(from));
  const fs::path packs = git_directory / "objects" / "pack";
  TRY(sys::make_directories(packs));
  for (const auto& file : files) {
    if (file.extension() == ".pack") TRY(sys::write_file((packs / file.stem()).concat(".keep"), "", 0444));
  }
  for (const auto& file : files) TRY(sys::rename_file(file, packs / file.filename()));
  return sys::remove_tree(from);
}

}  // namespace locki::endpoint
