// The pure parts of the builder: argument vectors, and what messages mean.
#include <fmt/format.h>

#include "base/strings.h"
#include "image/builder.h"

namespace locki::image {

namespace fs = std::filesystem;

std::vector<std::string> mmdebstrap_args(const Recipe& recipe, const Mirror& mirror, Mode mode, std::string_view architecture, const fs::path& overlay) {
  std::vector<std::string> args{mode == Mode::kRoot ? "--mode=root" : "--mode=unshare",
                                "--format=tar",
                                fmt::format("--architectures={}", architecture),
                                "--variant=" + recipe.variant,
                                "--include=" + join(recipe.packages, ",")};
  for (const auto& option : recipe.dpkg_options) args.push_back("--dpkgopt=" + option);
  for (const auto& option : recipe.apt_options) args.push_back("--aptopt=" + option + ";");
  // tar-in is done by the outer process: the overlay may lie where subordinate ids cannot read. For the same reason hooks are texts.
  if (!overlay.empty()) args.push_back(fmt::format("--essential-hook=tar-in \"{}\" /", overlay.native()));
  for (const auto& hook : recipe.hooks) args.push_back("--customize-hook=" + hook);
  args.emplace_back(kSuite);
  args.emplace_back("-");
  args.push_back(fmt::format("deb {} {} main", mirror.main, kSuite));
  args.push_back(fmt::format("deb {} {}-updates main", mirror.main, kSuite));
  if (!mirror.security.empty()) args.push_back(fmt::format("deb {} {}-security main", mirror.security, kSuite));
  return args;
}

sys::ProcessSpec mke2fs_command(const fs::path& vmm_root, const fs::path& tar, const fs::path& image, std::uint64_t mebibytes) {
  const std::string root = vmm_root.native();
  sys::ProcessSpec spec;
  spec.program = root + "/usr/lib64/ld-linux-x86-64.so.2";
  spec.args = {"--library-path", root + "/usr/lib/x86_64-linux-gnu", root + "/usr/sbin/mke2fs", "-q", "-t", "ext4",
               // Read-only for ever: no journal, no room to grow, nothing reserved; the same bytes for the same input.
               "-O", "^has_journal,^resize_inode", "-m", "0", "-L", "locki-system", "-E",
               "root_owner=0:0,hash_seed=00000000-0000-4000-8000-000000000001", "-U", "00000000-0000-4000-8000-000000000002", "-d", tar.native(),
               image.native(), fmt::format("{}M", mebibytes)};
  spec.environment = sys::clean_environment();
  // libarchive converts names by the locale; C.UTF-8 has to come from that root as well.
  spec.environment["LOCPATH"] = root + "/usr/lib/locale";
  spec.environment["MKE2FS_CONFIG"] = root + "/etc/mke2fs.conf";
  return spec;
}

sys::ProcessSpec mkfs_btrfs_command(const fs::path& vmm_root, const fs::path& tree, const fs::path& image, bool is_root) {
  const std::string root = vmm_root.native();
  sys::ProcessSpec spec;
  spec.args = {root + "/usr/lib64/ld-linux-x86-64.so.2", "--library-path", root + "/usr/lib/x86_64-linux-gnu", root + "/usr/sbin/mkfs.btrfs", "-q", "-K", "-f", "-L", "locki-data", "--rootdir", tree.native(), "--subvol", "rw:seed", image.native()};
  if (is_root) {
    spec.program = spec.args.front();
    spec.args.erase(spec.args.begin());
  } else {
    spec.program = "/usr/bin/unshare";
    spec.args.insert(spec.args.begin(), "--map-root-user");
  }
  spec.environment = sys::clean_environment();
  return spec;
}

std::string progress_in(std::string_view line) {
  line = trim(line);
  if (line.starts_with("I: ")) {
    line.remove_prefix(3);
    if (line.starts_with("running apt-get update")) return "Reading package lists";
    if (line.starts_with("downloading packages")) return "Downloading packages";
    if (line.starts_with("extracting archives")) return "Unpacking";
    if (line.starts_with("installing")) return "Installing packages";
    if (line.starts_with("running --customize-hook")) return "Customising";
    if (line.starts_with("creating tarball")) return "Packing";
    return "";
  }
  return "";
}

Error explain_failure(std::string_view messages, const sys::Exit& exit) {
  const auto says = [&](std::string_view text) { return messages.find(text) != std::string_view::npos; };
  std::string tail;
  const auto lines = split_lines(messages);
  const std::size_t last = lines.size() > 8 ? lines.size() - 8 : 0;
  // What failed may stand far above: mmdebstrap repeats the whole hook after it.
  std::size_t shown = 0;
  for (std::size_t i = 0; i < last && shown < 6; ++i) {
    const bool telling = lines[i].find(": not found") != std::string::npos || lines[i].find("No such file or directory") != std::string::npos ||
                         lines[i].starts_with("E: ") || lines[i].starts_with("Err:");
    if (telling) tail += "\n  " + printable(lines[i], 300);
    shown += telling ? 1 : 0;
  }
  for (std::size_t i = last; i < lines.size(); ++i) tail += "\n  " + printable(lines[i], 300);
  const auto with = [&](ErrorKind kind, std::string what, std::string hint) { return Error(kind, std::move(what) + tail).with_hint(std::move(hint)); };
  if (says("No space left on device")) return with(ErrorKind::kNoSpace, "the disk is full", "free some space and try again: it goes on where it was");
  if (says("Temporary failure resolving") || says("Could not resolve") || says("Connection timed out") || says("Could not connect") || says("Network is unreachable")) {
    return with(ErrorKind::kUnavailable, "the package mirror cannot be reached", "check the network, or name another mirror: [image] mirror in config.toml");
  }
  if (says("/etc/subuid") || says("newuidmap") || says("subuid")) {
    return with(ErrorKind::kPermission, "your user has no subordinate ids", "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER; and install uidmap");
  }
  if (says("unprivileged_userns_clone") || says("unshare") || says("user namespace")) {
    return with(ErrorKind::kPermission, "user namespaces are not allowed here", "as root: sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0");
  }
  return with(ErrorKind::kFailed, "mmdebstrap " + exit.describe(), "the lines above are its last words");
}

}  // namespace locki::image
