#include "sandbox/roots.h"

#include "image/builder.h"

namespace locki::sandbox {

namespace {
image::BuildOptions options_for(const sys::Paths& paths, const sys::Installation& installation, const Config& config) {
  return {.recipes = installation.share / "recipes", .cache = paths.cache, .mirror = config.mirror};
}
}  // namespace

Result<Roots> ensure_roots(const sys::Paths& paths, const sys::Installation& installation, const Config& config, const ProgressSink& progress) {
  TRY_ASSIGN(const auto built, image::ensure_roots(options_for(paths, installation, config), progress));
  const auto& vmm = built[0];
  const auto& vm = built[1];
  const auto& sandbox = built[2];
  Roots roots;
  roots.vm.vmm_root = vmm.directory / "root";
  roots.vm.kernel = vm.directory / "vmlinuz";
  roots.vm.initrd = vm.directory / "initrd.img";
  roots.vm.system_image = vm.directory / "system.img";
  roots.vm.id = vmm.key + "-" + vm.key;
  roots.image.metadata = sandbox.directory / "metadata.tar";
  roots.image.rootfs = sandbox.directory / "rootfs.tar";
  roots.image.alias = "sandbox-" + sandbox.key;
  roots.seed = sandbox.directory / "seed.img";
  roots.image_certificates = sandbox.directory / "ca-certificates.crt";
  return roots;
}

Result<json::object> roots_status(const sys::Paths& paths, const sys::Installation& installation, const Config& config) {
  TRY_ASSIGN(const auto roots, image::locate_roots(options_for(paths, installation, config)));
  json::object o;
  for (const auto& root : roots) o[image::to_string(root.kind)] = json::object{{"key", root.key}, {"built", root.built}};
  return o;
}

}  // namespace locki::sandbox
