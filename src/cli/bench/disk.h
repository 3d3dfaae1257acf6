// What the disk is asked to do: scripts for /bin/sh that run inside and on the host alike. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace locki::cli {

struct DiskJob {
  std::string name, meaning;
  std::string once, each, work;  // shell: before everything, before a round ($r), and what is measured
  int rounds = 3;
};
std::vector<DiskJob> disk_jobs();
// A repository of `directories` times `files` files of 1 KB, written into an empty work tree.
DiskJob checkout_job(int directories, int files);

// In a directory of its own: in `parent`, where it stays, else in /var/tmp, and it goes in the end. Prints nanoseconds, one line a round, so that neither
// starting it nor preparing is counted.
std::string disk_script(const DiskJob& job, const std::string& parent = "");
// Those lines as seconds; as many as there are rounds, else kFailed.
Result<std::vector<double>> disk_samples(const DiskJob& job, std::string_view said);

}  // namespace locki::cli
