#include "sys/limits.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

namespace locki::sys {

std::size_t raise_descriptor_limit(std::size_t wanted) {
  rlimit limits{};
  if (::getrlimit(RLIMIT_NOFILE, &limits) != 0) return 0;
  if (limits.rlim_cur >= wanted) return limits.rlim_cur;
  const rlimit raised{.rlim_cur = std::min<rlim_t>(wanted, limits.rlim_max), .rlim_max = limits.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limits.rlim_cur;
}

void limit_hostile_work() {
  const rlimit none{0, 0};
#ifndef __SANITIZE_ADDRESS__  // its shadow counts as data
  const rlimit memory{rlim_t{4} << 30, rlim_t{4} << 30};
  (void)::setrlimit(RLIMIT_DATA, &memory);
#endif
  (void)::setrlimit(RLIMIT_CORE, &none);
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void give_back_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace locki::sys
