// Builds a root with mmdebstrap and leaves it in the cache under its key, whole or not at all. Blocking, minutes; any thread: a file lock
// per root makes the second wait for the first, also across processes.
//
// CACHE/roots/KIND-KEY/ holds: vmm: root/ (a directory tree) · vm: system.img, vmlinuz, initrd.img · sandbox: metadata.tar, rootfs.tar,
// ca-certificates.crt, seed.img (a data disk that holds the image). While it is made it is KIND-KEY.partial-…; an interrupted one is removed by the next build.
#pragma once

#include <filesystem>
#include <string>

#include "base/progress.h"
#include "image/recipe.h"
#include "sys/process.h"

namespace locki::image {

struct BuildOptions {
  std::filesystem::path recipes;  // Installation::share / "recipes"
  std::filesystem::path cache;    // Paths::cache
  std::string mirror;             // config; "": the host's apt configuration
};

struct Root {
  Kind kind = Kind::kVmm;
  std::string key;
  std::filesystem::path directory;
  bool built = false;
};

// Where the three roots are, or would be; builds nothing. In the order of kAllKinds.
Result<std::vector<Root>> locate_roots(const BuildOptions& options);
// Builds what is missing, one after the other. kNotFound (mmdebstrap), kNoSpace, kPermission (no user namespaces, no subordinate ids),
// kUnavailable (no network): each with a hint.
Result<std::vector<Root>> ensure_roots(const BuildOptions& options, const ProgressSink& progress);

// ---- pure parts, for tests

enum class Mode { kRoot, kUnshare };  // of mmdebstrap
// `overlay`: a tarball of Recipe::files, or empty. The archive goes to standard output.
std::vector<std::string> mmdebstrap_args(const Recipe& recipe, const Mirror& mirror, Mode mode, std::string_view architecture, const std::filesystem::path& overlay);
// mke2fs of the vmm root, run through that root's own loader: neither privilege nor a chroot is needed. Size in MiB.
sys::ProcessSpec mke2fs_command(const std::filesystem::path& vmm_root, const std::filesystem::path& tar, const std::filesystem::path& image, std::uint64_t mebibytes);
// mkfs.btrfs of the vmm root, likewise. Whoever runs it appears as root to it (a user namespace of one id), so the tree's files are root's.
sys::ProcessSpec mkfs_btrfs_command(const std::filesystem::path& vmm_root, const std::filesystem::path& tree, const std::filesystem::path& image, bool is_root);
// What a line of mmdebstrap's or apt's messages says about the progress; "" for the rest.
std::string progress_in(std::string_view line);
// Turns the end of its messages into an error that a person can act on.
Error explain_failure(std::string_view messages, const sys::Exit& exit);

}  // namespace locki::image
