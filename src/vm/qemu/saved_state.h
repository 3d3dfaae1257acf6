// What `suspend` leaves: the RAM image beside its description. The description is what makes the image valid: it is written last, after
// QEMU has ended, and is gone before a resumed machine runs, so an image never meets a disk that has moved on. Nothing waits for the disk
// on the way: until settle() has seen the image there, it is only believed while the host has not been restarted, and from then on its
// removal is waited for. Thread-safe; the caller holds the VM's lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace locki::vm {

struct SavedState {
  std::string fits;      // hash of all that the image depends on: QEMU, its arguments, the accelerator, the host's kernel
  std::string label;     // the caller's own note
  std::string boot_id;   // of the host; an image that was not on the disk yet when the host went down is not believed
  bool on_disk = false;  // the image is known to be there after a crash of the host
  std::uint64_t bytes = 0;
};

class SavedStates {
 public:
  explicit SavedStates(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // An empty file for a new image. What was there is gone; from here until keep() there is no valid state.
  Result<sys::Fd> create();
  Result<> keep(const SavedState& state);
  // Nothing when there is none. One that cannot be believed (unreadable, or not on the disk when the host went down: `boot_id` is the
  // host's now) counts as none, is removed, and `why` says so.
  Result<std::optional<SavedState>> find(const std::string& boot_id, std::string* why = nullptr);
  // The image, which is valid no more: description and name are gone when this returns.
  Result<sys::Fd> take();
  Result<> drop();
  // The image goes there, where what was is gone; valid only after keep(). There is no valid state here afterwards.
  Result<> move_to(SavedStates& other);
  // The image, to wait for (fdatasync); afterwards settled() notes it if that image is still the one.
  Result<sys::Fd> image_file() const;
  Result<> settled(int image);

 private:
  std::filesystem::path description() const { return directory_ / "suspended.json"; }
  std::filesystem::path image() const { return directory_ / "suspended.ram"; }
  Result<> keep_locked(const SavedState& state);
  Result<> drop_locked();
  std::filesystem::path directory_;
  std::mutex mutex_;
};

}  // namespace locki::vm
