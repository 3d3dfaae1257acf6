#include "image/builder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::image {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kArchitecture = "amd64";
// What a build needs at its peak: the tree, the tarball and the result, side by side.
std::uint64_t space_needed(Kind kind) { return kind == Kind::kSandbox ? 3ULL << 30 : 2ULL << 30; }

// The data disk grows to its configured size when it is copied; this is the least that the config allows.
constexpr off_t kSeedSize = off_t{8} << 30;

std::string title(Kind kind) {
  switch (kind) {
    case Kind::kVmm: return "Building the jail's root (QEMU)";
    case Kind::kVm: return "Building the VM's system";
    case Kind::kSandbox: return "Building the sandbox image";
  }
  return "";
}

Result<sys::ProcessSpec> tar_spec(std::vector<std::string> args) {
  TRY_ASSIGN(const std::string tar, sys::find_program("tar"));
  return sys::ProcessSpec{.program = tar, .args = std::move(args), .environment = sys::clean_environment()};
}

// A directory of an interrupted build. What mmdebstrap left elsewhere (TMPDIR) it removes itself, unless it was killed outright.
void remove_partials(const fs::path& roots, const std::string& name) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(roots, error)) {
    if (!entry.path().filename().native().starts_with(name + ".partial-")) continue;
    if (auto removed = sys::remove_tree(entry.path()); !removed) log::warning("{}", removed.error().describe());
  }
}

Result<> run_mmdebstrap(const Recipe& recipe, const Mirror& mirror, const fs::path& directory, const fs::path& output, Phase& phase) {
  auto program = sys::find_program("mmdebstrap");
  if (!program) return fail(std::move(program).error().with_hint("install it: apt-get install mmdebstrap uidmap"));
  const Mode mode = ::geteuid() == 0 ? Mode::kRoot : Mode::kUnshare;
  fs::path overlay;
  if (!recipe.files.empty()) {
    overlay = directory / "overlay.tar";
    TRY_ASSIGN(const auto pack, tar_spec({"--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mode=u+rw,go+r-w,a+X", "-C", recipe.files.native(), "-cf", overlay.native(), "."}));
    TRY(sys::run_ok(pack));
  }
  TRY_ASSIGN(sys::Fd out, sys::open_file(output, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  TRY_ASSIGN(sys::Pipe messages, sys::make_pipe());
  auto environment = sys::clean_environment();
  // As an ordinary user the tree belongs to subordinate ids, which may not enter a private home directory.
  environment["TMPDIR"] = mode == Mode::kRoot ? directory.native() : "/var/tmp";
  for (const char* name : {"http_proxy", "https_proxy", "no_proxy"}) {
    if (const char* value = std::getenv(name)) environment[name] = value;
  }
  TRY_ASSIGN(sys::Child child, sys::spawn({.program = *program,
                                           .args = mmdebstrap_args(recipe, mirror, mode, kArchitecture, overlay),
                                           .environment = std::move(environment),
                                           .out = out.get(),
                                           .err = messages.write.get(),
                                           .parent_death_signal = SIGKILL}));
  messages.write.reset();
  std::string tail, line;
  std::uint8_t chunk[4096];
  for (;;) {
    TRY_ASSIGN(const std::size_t n, sys::read_some(messages.read.get(), chunk, sizeof chunk));
    if (n == 0) break;
    for (std::size_t i = 0; i < n; ++i) {
      const char c = static_cast<char>(chunk[i]);
      if (c != '\n' && c != '\r') {
        if (line.size() < 4096) line += c;
        continue;
      }
      if (std::string text = progress_in(line); !text.empty()) phase.update(std::move(text));
      tail += line + "\n";
      if (tail.size() > 32768) tail.erase(0, 16384);
      line.clear();
    }
  }
  TRY_ASSIGN(const sys::Exit exit, child.wait());
  if (!exit.ok()) return fail(explain_failure(tail, exit));
  return {};
}

Result<> finish_vmm(const fs::path& directory, const fs::path& tar) {
  const fs::path root = directory / "root";
  // What the jail mounts over. Packages bring some of them; variant "extract" runs no hook that could make the others.
  for (const auto* mount_point : {"proc", "dev", "run", "tmp", "disks", "sys"}) TRY(sys::make_directories(root / mount_point));
  TRY_ASSIGN(const auto unpack, tar_spec({"-x", "--no-same-owner", "--no-same-permissions", "--exclude=./dev/*", "-C", root.native(), "-f", tar.native()}));
  return sys::run_ok(unpack, {}, {.timeout = std::chrono::minutes(10)}).map([](const std::string&) {});
}

Result<> extract_one(const fs::path& tar, const std::string& member, const fs::path& to) {
  TRY_ASSIGN(auto unpack, tar_spec({"-x", "-O", "-f", tar.native(), member}));
  TRY_ASSIGN(const std::string content, sys::run_ok(unpack, {}, {.timeout = std::chrono::minutes(5), .max_output = 256 << 20}));
  if (content.empty()) return fail(ErrorKind::kCorrupt, "the root has no " + member);
  return sys::write_file(to, content);
}

Result<> finish_vm(const fs::path& directory, const fs::path& tar, const fs::path& vmm_root) {
  TRY(extract_one(tar, "./boot/vmlinuz", directory / "vmlinuz"));
  TRY(extract_one(tar, "./boot/initrd.img", directory / "initrd.img"));
  std::error_code error;
  const std::uint64_t mebibytes = (fs::file_size(tar, error) >> 20) * 115 / 100 + 64;
  TRY(sys::run_ok(mke2fs_command(vmm_root, tar, directory / "system.img", mebibytes), {}, {.timeout = std::chrono::minutes(10)}));
  return {};
}

// A data disk that holds the image already, as the subvolume "seed": copying it takes a second, importing the image through the API of an
// emulated VM takes minutes. The VM's seed-up turns it into an image of Incus' at its first boot (recipes/vm).
Result<> make_seed(const fs::path& directory, const fs::path& tar, const std::string& key, const fs::path& vmm_root) {
  const fs::path tree = directory / "seed-tree";
  TRY(sys::make_directories(tree / "seed/rootfs"));
  TRY(sys::make_directories(tree / "seed/templates"));
  TRY(sys::write_file(tree / "seed/key", key + "\n"));
  TRY_ASSIGN(const auto unpack, tar_spec({"-x", "--no-same-owner", "-p", "--exclude=./dev/*", "-C", (tree / "seed/rootfs").native(), "-f", tar.native()}));
  TRY(sys::run_ok(unpack, {}, {.timeout = std::chrono::minutes(15)}));
  const fs::path image = directory / "seed.img";
  {
    TRY_ASSIGN(sys::Fd fd, sys::open_file(image, O_WRONLY | O_CREAT | O_EXCL));
    if (::ftruncate(fd.get(), kSeedSize) != 0) return fail_errno(errno, "cannot size " + image.native());
  }
  TRY(sys::run_ok(mkfs_btrfs_command(vmm_root, tree, image, ::geteuid() == 0), {}, {.timeout = std::chrono::minutes(15)}));
  return sys::remove_tree(tree);
}

Result<> finish_sandbox(const fs::path& directory, const fs::path& tar, const std::string& key, const fs::path& vmm_root) {
  TRY(make_seed(directory, tar, key, vmm_root));
  TRY(extract_one(tar, "./etc/ssl/certs/ca-certificates.crt", directory / "ca-certificates.crt"));
  // Incus, "Image format": a split image is a tarball with metadata.yaml, and the root file system's.
  TRY(sys::write_file(directory / "metadata.yaml", fmt::format("architecture: x86_64\ncreation_date: 1735689600\nproperties:\n  description: locki sandbox {}\n  os: debian\n  release: {}\n", key, kSuite)));
  TRY_ASSIGN(const auto pack, tar_spec({"--owner=0", "--group=0", "--numeric-owner", "-C", directory.native(), "-cf", (directory / "metadata.tar").native(), "metadata.yaml"}));
  TRY(sys::run_ok(pack));
  return sys::rename_file(tar, directory / "rootfs.tar");
}

Result<> build(const Recipe& recipe, const Mirror& mirror, const Root& root, const fs::path& vmm_root, const ProgressSink& progress) {
  const std::string name = root.directory.filename();
  const fs::path roots = root.directory.parent_path();
  TRY_ASSIGN(const sys::FileLock lock, sys::FileLock::acquire(roots / (name + ".lock")));
  std::error_code error;
  if (fs::exists(root.directory, error)) return {};  // somebody else built it while we waited
  Phase phase(progress, fmt::format("roots.{}", to_string(root.kind)), title(root.kind));
  remove_partials(roots, name);
  TRY_ASSIGN(const std::uint64_t free, sys::free_space(roots));
  if (free < space_needed(root.kind)) {
    return fail(ErrorKind::kNoSpace, fmt::format("{} has {} free, building needs {}", printable(roots.native()), human_bytes(free), human_bytes(space_needed(root.kind))),
                "free some space, or set XDG_CACHE_HOME to another disk");
  }
  const fs::path partial = roots / fmt::format("{}.partial-{}", name, random_hex(4));
  TRY(sys::make_directories(partial));
  const fs::path tar = partial / "build.tar";
  const auto made = [&]() -> Result<> {
    TRY(run_mmdebstrap(recipe, mirror, partial, tar, phase));
    phase.update("Packing it");
    switch (root.kind) {
      case Kind::kVmm: TRY(finish_vmm(partial, tar)); break;
      case Kind::kVm: TRY(finish_vm(partial, tar, vmm_root)); break;
      case Kind::kSandbox: TRY(finish_sandbox(partial, tar, root.key, vmm_root)); break;
    }
    for (const auto* leftover : {"build.tar", "overlay.tar"}) fs::remove(partial / leftover, error);
    ::sync();  // the rename must not be on disk before what it names
    return sys::rename_file(partial, root.directory);
  }();
  if (!made) (void)sys::remove_tree(partial);
  return context(made, fmt::format("while building the root {}", to_string(root.kind)));
}

struct Plan {
  std::vector<Recipe> recipes;
  std::vector<Root> roots;
  Mirror mirror;
};

Result<Plan> make_plan(const BuildOptions& options) {
  Plan plan;
  TRY_ASSIGN(plan.mirror, find_mirror(options.mirror));
  std::string maker;
  for (const Kind kind : kAllKinds) {
    TRY_ASSIGN(Recipe recipe, load_recipe(options.recipes, kind));
    Root root;
    root.kind = kind;
    root.key = root_key(recipe, plan.mirror, kind == Kind::kVm ? maker : "");
    if (kind == Kind::kVmm) maker = root.key;
    root.directory = options.cache / "roots" / fmt::format("{}-{}", to_string(kind), root.key);
    std::error_code error;
    root.built = fs::exists(root.directory, error);
    plan.recipes.push_back(std::move(recipe));
    plan.roots.push_back(std::move(root));
  }
  return plan;
}

}  // namespace

Result<std::vector<Root>> locate_roots(const BuildOptions& options) {
  TRY_ASSIGN(Plan plan, make_plan(options));
  return std::move(plan.roots);
}

Result<std::vector<Root>> ensure_roots(const BuildOptions& options, const ProgressSink& progress) {
  TRY_ASSIGN(Plan plan, make_plan(options));
  TRY(sys::make_directories(options.cache / "roots"));
  const fs::path vmm_root = plan.roots[0].directory / "root";
  for (std::size_t i = 0; i < plan.roots.size(); ++i) {
    if (!plan.roots[i].built) TRY(build(plan.recipes[i], plan.mirror, plan.roots[i], vmm_root, progress));
    plan.roots[i].built = true;
  }
  return std::move(plan.roots);
}

}  // namespace locki::image
