// A history in the VM: one custom volume of pack files. It is filled by a new sandbox's container before anything but our own programs ran
// there, and mounted read-only ever after; a sandbox takes its files over by sharing their blocks, and lets go of it. So nothing inside can
// change what another sandbox begins from, and a volume can be deleted at any time that none is being made from it.
#pragma once

#include <string>

#include "git/history_pack.h"
#include "incus/client.h"
#include "sandbox/histories.h"

namespace locki::sandbox {

inline constexpr std::string_view kHistoryVolumePrefix = "history-";
// In a container, where the files wait for its clone (endpoint --history).
inline constexpr std::string_view kHistoryInside = "/var/lib/locki/history";

// The volume is made and filled with these files, each compared with its hash inside and on the disk when this returns. On an error the volume may
// be there, with anything in it.
Result<> fill_history(incus::Client& client, const std::string& volume, const git::HistoryPack& pack, const std::string& instance);
// The volume's files are in the container, which no longer has the volume. kNotFound: there is no such volume.
Result<> bring_history(incus::Client& client, const std::string& volume, const std::string& instance);
// Lets go of what an attempt that was cut short left attached: a container may be given to a user only after this.
Result<> detach_history(incus::Client& client, const std::string& instance);

}  // namespace locki::sandbox
