// The VM's one writable disk: a raw sparse file, 0600. Whoever calls holds the VM's lock; the VM does not run.
#pragma once

#include "vm/driver.h"

namespace locki::vm {

// Made when absent (a copy of `origin` when given), grown when smaller than wanted, never shrunk; complete or not there, also after a
// crash. kNoSpace when the file system has less than 1 GiB left for a new one.
Result<> ensure_data_disk(const std::filesystem::path& disk, std::uint64_t size, const std::filesystem::path& origin);

}  // namespace locki::vm
