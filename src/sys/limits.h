// What the kernel lets this process have, and what it gives back.
#pragma once

#include <cstddef>

namespace locki::sys {

// As many descriptors as there may be, up to `wanted`; gives how many that are, 0 when that cannot be told. Children inherit it.
std::size_t raise_descriptor_limit(std::size_t wanted);

// For a process that parses what a sandbox wrote: git's index-pack and our own code work on hostile sizes, so rather fail (at 4 GiB) than take the
// host's memory; no core file with the user's files in it; no new privileges. Children inherit all three. What the system refuses is left as it is.
void limit_hostile_work();

// Memory that was freed and is kept for later (malloc_trim(3)): for a process that will have little to do for a while. Takes a millisecond or so.
void give_back_memory();

}  // namespace locki::sys
