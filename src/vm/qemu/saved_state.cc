#include "vm/qemu/saved_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "sys/file.h"

namespace locki::vm {

namespace fs = std::filesystem;

namespace {

Result<> sync_directory(const fs::path& directory) {
  TRY_ASSIGN(const sys::Fd fd, sys::open_file(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "cannot write to the disk: " + directory.native());
  return {};
}

Result<SavedState> parse(std::string_view text) {
  TRY_ASSIGN(const json::object o, json::parse_object(text));
  TRY_ASSIGN(const std::int64_t version, json::get_int(o, "version"));
  if (version != 1) return fail(ErrorKind::kCorrupt, "a suspended machine of another version of locki");
  SavedState state;
  TRY_ASSIGN(state.fits, json::get_string(o, "fits"));
  TRY_ASSIGN(state.label, json::get_string(o, "label"));
  TRY_ASSIGN(state.boot_id, json::get_string(o, "boot_id"));
  TRY_ASSIGN(state.on_disk, json::get_bool(o, "on_disk"));
  TRY_ASSIGN(const std::int64_t bytes, json::get_int(o, "bytes"));
  state.bytes = static_cast<std::uint64_t>(bytes);
  return state;
}

}  // namespace

Result<sys::Fd> SavedStates::create() {
  const std::lock_guard lock(mutex_);
  TRY(drop_locked());
  return sys::open_file(image(), O_WRONLY | O_CREAT | O_EXCL, 0600);
}

Result<> SavedStates::keep(const SavedState& state) {
  const std::lock_guard lock(mutex_);
  return keep_locked(state);
}

Result<> SavedStates::keep_locked(const SavedState& state) {
  const std::string text = json::pretty({{"version", 1}, {"fits", state.fits}, {"label", state.label}, {"boot_id", state.boot_id}, {"on_disk", state.on_disk}, {"bytes", state.bytes}});
  if (state.on_disk) return sys::write_file(description(), text, 0600);
  TRY_ASSIGN(const sys::Fd file, sys::open_file(description(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  return sys::write_all(file.get(), text);
}

Result<std::optional<SavedState>> SavedStates::find(const std::string& boot_id, std::string* why) {
  const std::lock_guard lock(mutex_);
  const auto text = sys::read_file(description(), 64 << 10);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::optional<SavedState>{};
  if (!text) return fail(text.error());
  auto state = parse(*text);
  struct stat status {};
  std::string reason;
  if (!state) reason = "what describes it cannot be read";
  else if (::stat(image().c_str(), &status) != 0) reason = "its memory is gone";
  else if (!state->on_disk && state->boot_id != boot_id) reason = "the host went down before its memory was on the disk";
  if (reason.empty()) return std::optional<SavedState>(std::move(*state));
  if (why != nullptr) *why = reason;
  TRY(drop_locked());
  return std::optional<SavedState>{};
}

Result<sys::Fd> SavedStates::take() {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(sys::Fd fd, sys::open_file(image(), O_RDONLY));
  TRY(drop_locked());
  return fd;
}

Result<> SavedStates::drop() {
  const std::lock_guard lock(mutex_);
  return drop_locked();
}

Result<> SavedStates::move_to(SavedStates& other) {
  const std::scoped_lock both(mutex_, other.mutex_);
  TRY(other.drop_locked());
  TRY(sys::rename_file(image(), other.image()));
  return drop_locked();
}

Result<> SavedStates::drop_locked() {
  const auto text = sys::read_file(description(), 64 << 10);
  const auto state = text ? parse(*text) : fail(text.error());
  const bool unsettled = (state && !state->on_disk) || (!text && text.error().kind() == ErrorKind::kNotFound);
  for (const auto& path : {description(), image()}) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "cannot remove " + path.native());
  }
  return unsettled ? Result<>{} : sync_directory(directory_);
}

Result<sys::Fd> SavedStates::image_file() const { return sys::open_file(image(), O_RDONLY); }

Result<> SavedStates::settled(int image_fd) {
  const std::lock_guard lock(mutex_);
  struct stat now {}, then {};
  if (::fstat(image_fd, &then) != 0 || ::stat(image().c_str(), &now) != 0 || now.st_ino != then.st_ino || now.st_dev != then.st_dev) return {};
  const auto text = sys::read_file(description(), 64 << 10);
  if (!text) return {};
  TRY_ASSIGN(SavedState state, parse(*text));
  state.on_disk = true;
  return keep_locked(state);
}

}  // namespace locki::vm
