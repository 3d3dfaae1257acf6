// The three roots as the machine needs them: a thin layer over image/, so that what a root holds is named in one place.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "base/progress.h"
#include "sandbox/config.h"
#include "sandbox/provision.h"
#include "sys/xdg.h"
#include "vm/driver.h"

namespace locki::sandbox {

struct Roots {
  vm::VmFiles vm;
  ImageFiles image;
  std::filesystem::path seed;                // a data disk that holds the image: what a new one is copied from
  std::filesystem::path image_certificates;  // the sandbox image's own CA bundle
};

// Builds what is missing, one root after the other; takes minutes the first time.
Result<Roots> ensure_roots(const sys::Paths& paths, const sys::Installation& installation, const Config& config, const ProgressSink& progress);
// For `vm status`: each root's key and whether it is built.
Result<json::object> roots_status(const sys::Paths& paths, const sys::Installation& installation, const Config& config);

}  // namespace locki::sandbox
