#include "vm/qemu/jail/privileges.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

#include "vm/qemu/jail/report.h"

namespace jail {

namespace {

void limit(__rlimit_resource resource, rlim_t most, const char* name) {
  rlimit limits{};
  if (::getrlimit(resource, &limits) != 0) die(errno, "cannot read the limit ", name);
  limits.rlim_max = std::min(limits.rlim_max, most);
  limits.rlim_cur = limits.rlim_max;
  if (::setrlimit(resource, &limits) != 0) die(errno, "cannot set the limit ", name);
}

void check(int result, const char* what) {
  if (result != 0) die(result < 0 ? -result : result, "cannot build the system call filter: ", what);
}

void deny(scmp_filter_ctx filter, std::initializer_list<const char*> names, int with_errno) {
  for (const char* name : names) {
    const int number = ::seccomp_syscall_resolve_name(name);
    // Unknown to this libseccomp: the kernel it was made for did not have it either. QEMU's own filter stands behind.
    if (number == __NR_SCMP_ERROR) continue;
    check(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(with_errno)), number, 0), name);
  }
}

}  // namespace

void drop_privileges() {
  if (::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                                     SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) != 0) {
    die(errno, "cannot lock the secure bits");
  }
  for (int capability = 0; capability < 64; ++capability) {
    if (::prctl(PR_CAPBSET_READ, capability) < 0) break;  // beyond the last one that this kernel knows
    if (::prctl(PR_CAPBSET_DROP, capability) != 0) die(errno, "cannot empty the bounding set");
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) die(errno, "cannot clear the ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) die(errno, "cannot drop the capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die(errno, "cannot set no_new_privs");
  limit(RLIMIT_CORE, 0, "core");
  limit(RLIMIT_NOFILE, 8192, "nofile");  // one for each connection of the guest
  limit(RLIMIT_MEMLOCK, 64 << 10, "memlock");
  limit(RLIMIT_MSGQUEUE, 0, "msgqueue");
  limit(RLIMIT_RTPRIO, 0, "rtprio");
}

void filter_program() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) die(ENOMEM, "cannot build the system call filter");
  deny(filter,
       {"unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount",
        "fspick", "mount_setattr", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "bpf",
        "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key",
        "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "open_by_handle_at", "name_to_handle_at",
        "fanotify_init", "quotactl", "quotactl_fd", "syslog", "acct", "swapon", "swapoff", "reboot", "iopl", "ioperm", "modify_ldt",
        "personality", "vhangup", "lookup_dcookie", "setdomainname", "sethostname", "memfd_secret", "mknod", "mknodat"},
       EPERM);
  // Its flags are behind a pointer, where a filter cannot look; the C library then falls back to clone(2).
  deny(filter, {"clone3"}, ENOSYS);
  for (const unsigned flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    check(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)), "clone");
  }
  // Families 1 (local), 2 (IPv4) and 10 (IPv6) stay.
  check(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_INET6)), "socket");
  for (int family = AF_INET + 1; family < AF_INET6; ++family) {
    check(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))), "socket");
  }
  check(::seccomp_load(filter), "load");
  ::seccomp_release(filter);
}

void filter_broker() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) die(ENOMEM, "cannot build the system call filter");
  for (const int number : {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(accept4), SCMP_SYS(recvfrom),
                           SCMP_SYS(sendmsg), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(setsockopt),
                           SCMP_SYS(getsockopt), SCMP_SYS(close), SCMP_SYS(ftruncate), SCMP_SYS(wait4), SCMP_SYS(exit_group),
                           SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall)}) {
    check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0), "allow");
  }
  check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_INET),
                           SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM)), "socket");
  check(::seccomp_load(filter), "load");
  ::seccomp_release(filter);
}

}  // namespace jail
