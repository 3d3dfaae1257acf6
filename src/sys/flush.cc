#include "sys/flush.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <system_error>
#include <thread>

#include "base/strings.h"
#include "sys/beneath.h"
#include "sys/file.h"

namespace locki::sys {

struct Flush::Work {
  std::vector<Fd> file_systems;
  Directory root;
  std::vector<std::string> paths;
  Fd event;
  std::atomic<int> failed{0};
  std::atomic<bool> over{false};

  void note(int result) {
    if (result != 0 && errno != EINVAL) failed = errno;
  }
  void write_files() {
    std::set<std::string> directories;
    for (const std::string& path : paths) {
      // All of it begins to be written before the first one is waited for.
      if (const auto file = root.open_file(path)) (void)::sync_file_range(file->fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
      for (std::size_t slash = path.rfind('/'); slash != std::string::npos; slash = slash == 0 ? std::string::npos : path.rfind('/', slash - 1))
        directories.insert(path.substr(0, slash));
    }
    for (const std::string& path : paths)
      if (const auto file = root.open_file(path)) note(::fsync(file->fd.get()));
    for (const std::string& path : directories)
      if (const auto directory = root.open_directory(path)) note(::fsync(directory->fd()));
    note(::fsync(root.fd()));
  }

  void run() {
    for (const Fd& fd : file_systems)
      if (::syncfs(fd.get()) != 0) failed = errno;
    if (root) write_files();
    over = true;
    const std::uint64_t one = 1;
    (void)!::write(event.get(), &one, sizeof one);
  }
};

Result<Flush> Flush::begin(const std::vector<int>& descriptors) {
  auto work = std::make_shared<Work>();
  std::set<dev_t> seen;
  for (const int fd : descriptors) {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return fail_errno(errno, "cannot tell the file system to flush");
    if (!seen.insert(st.st_dev).second) continue;
    TRY_ASSIGN(Fd copy, duplicate(fd));
    work->file_systems.push_back(std::move(copy));
  }
  return start(std::move(work));
}

Result<Flush> Flush::begin(int directory, std::vector<std::string> paths) {
  auto work = std::make_shared<Work>();
  TRY_ASSIGN(Fd root, duplicate(directory));
  work->root = Directory(std::move(root));
  work->paths = std::move(paths);
  return start(std::move(work));
}

Result<Flush> Flush::start(std::shared_ptr<Work> work) {
  work->event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!work->event) return fail_errno(errno, "cannot make an eventfd");
  TRY_ASSIGN(Fd event, duplicate(work->event.get()));
  try {
    std::thread([work] { work->run(); }).detach();
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kFailed, std::string("cannot begin to flush: ") + error.what());
  }
  return Flush(std::move(work), std::move(event));
}

bool Flush::over() const { return work_->over; }

Result<> Flush::outcome() const {
  if (work_->failed != 0) return fail_errno(work_->failed, "not everything could be written to the disk");
  return {};
}

std::string boot_id() {
  if (const char* given = std::getenv("LOCKI_BOOT_ID")) return given;
  const auto text = read_file("/proc/sys/kernel/random/boot_id", 100);
  return text ? std::string(trim(*text)) : "";
}

}  // namespace locki::sys
