#include "vm/qemu/data_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "sys/file.h"

namespace locki::vm {

namespace {

constexpr std::uint64_t kLeastFree = 1ULL << 30;

Result<> grow(const std::filesystem::path& path, std::uint64_t size) {
  TRY_ASSIGN(const sys::Fd fd, sys::open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "cannot examine the data disk");
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::kCorrupt, printable(path.native()) + " is not a file");
  if (static_cast<std::uint64_t>(status.st_size) >= size) return {};
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return fail_errno(errno, "cannot give the data disk its size");
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "cannot write the data disk");
  return {};
}

}  // namespace

Result<> ensure_data_disk(const std::filesystem::path& disk, std::uint64_t size, const std::filesystem::path& origin) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(disk, ignored))) return grow(disk, size);
  TRY(sys::make_directories(disk.parent_path(), 0700));
  TRY_ASSIGN(const std::uint64_t free, sys::free_space(disk.parent_path()));
  if (free < kLeastFree) {
    return fail(ErrorKind::kNoSpace, fmt::format("only {} left for the VM's disk in {}", human_bytes(free), printable(disk.parent_path().native())),
                "make room: the VM needs at least 1 GiB to start with");
  }
  const std::filesystem::path beside = disk.native() + ".new";
  TRY(sys::remove_tree(beside));
  if (!origin.empty()) TRY(sys::copy_sparse(origin, beside));
  TRY(grow(beside, size));
  return sys::rename_file(beside, disk);
}

}  // namespace locki::vm
