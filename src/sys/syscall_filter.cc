#include "sys/syscall_filter.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace locki::sys {
namespace {

constexpr const char* kNetwork[] = {"socket", "connect", "bind", "listen", "accept", "accept4"};

constexpr const char* kRefused[] = {
    // other processes
    "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
#ifndef __SANITIZE_ADDRESS__  // the leak checker uses it
    "ptrace",
#endif
    // mounts, namespaces, roots; files by handle instead of by path
    "mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr", "setns", "unshare",
    "name_to_handle_at", "open_by_handle_at", "fanotify_init",
    // wide or seldom looked at parts of the kernel
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "perf_event_open", "add_key", "request_key", "keyctl", "lookup_dcookie", "vmsplice",
    "modify_ldt", "remap_file_pages", "mbind", "migrate_pages", "move_pages", "personality", "mknod", "mknodat",
    // the machine
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "iopl",
    "ioperm", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl",
};

struct Release {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};

Result<> refuse(scmp_filter_ctx filter, const char* name, int error) {
  const int number = ::seccomp_syscall_resolve_name(name);
  // Unknown to this libseccomp, or not on this architecture.
  if (number == __NR_SCMP_ERROR || number < 0) return {};
  const int added = ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number, 0);
  if (added != 0) return fail_errno(-added, std::string("cannot refuse ") + name);
  return {};
}

Result<> refuse_argument(scmp_filter_ctx filter, int number, const scmp_arg_cmp& argument) {
  const int added = ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 1, argument);
  if (added != 0) return fail_errno(-added, "cannot refuse an argument");
  return {};
}

}  // namespace

Result<> refuse_escapes() {
  const std::unique_ptr<void, Release> filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(ErrorKind::kUnavailable, "cannot build the system call filter");
  for (const char* name : kNetwork) TRY(refuse(filter.get(), name, EACCES));
  for (const char* name : kRefused) TRY(refuse(filter.get(), name, EPERM));
  // Its flags lie behind a pointer, where a filter cannot look; the C library then falls back to clone(2).
  TRY(refuse(filter.get(), "clone3", ENOSYS));
  for (const unsigned long flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP})
    TRY(refuse_argument(filter.get(), SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)));
  // Connects a TCP socket whose peer is gone, with neither of the calls above.
  for (const auto& [number, flags] : {std::pair{SCMP_SYS(sendto), 3U}, std::pair{SCMP_SYS(sendmsg), 2U}, std::pair{SCMP_SYS(sendmmsg), 3U}}) {
    const scmp_arg_cmp fast_open{flags, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN};
    TRY(refuse_argument(filter.get(), number, fast_open));
  }
  // Typing into a terminal that happens to be ours. Only the low half counts: the kernel ignores the other.
  for (const unsigned long request : {static_cast<unsigned long>(TIOCSTI), static_cast<unsigned long>(TIOCLINUX)})
    TRY(refuse_argument(filter.get(), SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffUL, request)));
  const int loaded = ::seccomp_load(filter.get());
  if (loaded != 0) return fail_errno(-loaded, "cannot load the system call filter");
  return {};
}

}  // namespace locki::sys
