#include "vm/qemu/jail.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sys/file.h"
#include "sys/socket.h"
#include "vm/qemu/jail/options.h"

namespace locki::vm {

using std::chrono::milliseconds;

namespace {

static_assert(kFirstSocketFd == jail::kFirstFreeFd);

int first_secret_fd(const JailSpec& spec) { return kFirstSocketFd + static_cast<int>(spec.sockets.size()); }

Result<std::string> read_proc(const std::string& path) { return sys::read_file(path, 1 << 20); }

// Field 22 of /proc/PID/stat, in clock ticks since boot; empty when there is no such process or only what is left of it (a zombie).
std::string start_time(pid_t pid) {
  const auto text = read_proc(fmt::format("/proc/{}/stat", pid));
  if (!text) return "";
  const auto name_end = text->rfind(')');
  if (name_end == std::string::npos) return "";
  const auto fields = split(std::string_view(*text).substr(name_end + 1), ' ');  // [1] is field 3
  if (fields.size() < 21 || fields[1] == "Z" || fields[1] == "X") return "";
  return fields[20];
}

bool setting_is(const char* path, std::string_view value) {
  const auto text = read_proc(path);
  return text && trim(*text) == value;
}

// A pipe that already holds the secret, so that nobody has to feed it.
Result<sys::Fd> filled_pipe(std::string_view content) {
  TRY_ASSIGN(sys::Pipe pipe, sys::make_pipe());
  if (content.size() >= (64 << 10)) return fail(ErrorKind::kNoSpace, "a credential is larger than 64 KiB");
  TRY(sys::set_nonblocking(pipe.write.get(), true));
  TRY(sys::write_all(pipe.write.get(), content));
  return std::move(pipe.read);
}

Result<> empty_directory(const fs::path& directory) {
  TRY(sys::remove_tree(directory));
  return sys::make_directories(directory, 0700);
}

// "error ERRNO TEXT", once or not at all.
Result<> check_report(std::string_view report, const JailSpec& spec) {
  if (report.empty()) return {};
  const auto line = split_lines(report)[0];
  const auto words = split(line, ' ');
  const auto number = words.size() > 2 && words[0] == "error" ? parse_u64(words[1]) : std::nullopt;
  if (!number) return fail(ErrorKind::kProtocol, "the jail said: " + printable(line));
  const std::string text = printable(line.substr(words[0].size() + words[1].size() + 2));
  Error error = *number == 0 ? Error(ErrorKind::kFailed, text) : errno_error(static_cast<int>(*number), text);
  // EACCES and EPERM come from a policy, ENOSPC from a limit of zero namespaces, EINVAL from a kernel without them.
  if (*number == EPERM || *number == EACCES || *number == ENOSPC || *number == EUSERS) {
    std::string remedy = namespace_remedy(read_namespace_settings(), spec.jail);
    if (remedy.empty() && text.find("namespace") != std::string::npos) {
      remedy = "something forbids user namespaces here: inside a container, allow them (for Docker: --security-opt seccomp=unconfined "
               "--security-opt apparmor=unconfined --security-opt systempaths=unconfined)";
    }
    error.set_hint(std::move(remedy));
  }
  return fail(std::move(error).with_context("while building the jail for the VM"));
}

std::string tail_of(const fs::path& path, std::string_view title) {
  auto text = sys::read_file(path, 4 << 20);
  if (!text) return "";
  auto lines = split_lines(*text);
  std::erase_if(lines, [](const std::string& line) { return trim(line).empty(); });
  if (lines.empty()) return "";
  std::string out = fmt::format("\n{}:", title);
  for (std::size_t i = lines.size() > 12 ? lines.size() - 12 : 0; i < lines.size(); ++i) {
    out += "\n  " + printable(trim(lines[i]), 200);
  }
  return out;
}

}  // namespace

sys::ProcessSpec jail_process(const JailSpec& spec) {
  sys::ProcessSpec process;
  process.program = spec.jail.native();
  auto& args = process.args;
  args = {"--root", spec.root.native()};
  for (const auto& [name, path] : spec.read_only) args.insert(args.end(), {"--read-only", name + "=" + path.native()});
  for (const auto& [name, path] : spec.read_write) args.insert(args.end(), {"--read-write", name + "=" + path.native()});
  int fd = first_secret_fd(spec);
  for (const auto& [name, content] : spec.secrets) args.insert(args.end(), {"--secret", fmt::format("{}={}", name, fd++)});
  if (spec.kvm) args.emplace_back("--kvm");
  for (const auto port : spec.connect_ports) args.insert(args.end(), {"--connect", fmt::to_string(port)});
  for (const auto& [first, last] : spec.listen_ports) args.insert(args.end(), {"--listen", fmt::format("{}-{}", first, last)});
  for (int i = kFirstSocketFd; i < first_secret_fd(spec); ++i) args.insert(args.end(), {"--keep", fmt::to_string(i)});
  args.insert(args.end(), {"--", spec.program});
  args.insert(args.end(), spec.args.begin(), spec.args.end());
  // It outlives the daemon and its terminal.
  process.new_session = true;
  return process;
}

Result<Jailed> start_jail(const JailSpec& spec, const fs::path& run_directory) {
  TRY(empty_directory(run_directory));
  TRY_ASSIGN(sys::Pipe report, sys::make_pipe());
  std::vector<sys::Fd> held;
  sys::ProcessSpec process = jail_process(spec);
  const auto give = [&](int number, sys::Fd fd) {
    process.extra_fds[number] = fd.get();
    held.push_back(std::move(fd));
  };
  constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_APPEND;
  for (const auto& [number, name] : {std::pair{jail::kPidFd, "pid"}, {jail::kExitFd, "exit"}, {jail::kConsoleFd, "console.log"},
                                     {jail::kMessagesFd, "messages.log"}}) {
    TRY_ASSIGN(sys::Fd file, sys::open_file(run_directory / name, kNew));
    give(number, std::move(file));
  }
  TRY_ASSIGN(sys::Fd broker, sys::listen_unix(run_directory / "broker.sock"));
  give(jail::kBrokerFd, std::move(broker));
  int number = kFirstSocketFd;
  for (const auto& name : spec.sockets) {
    TRY_ASSIGN(sys::Fd socket, sys::listen_unix(run_directory / name));
    give(number++, std::move(socket));
  }
  for (const auto& [name, content] : spec.secrets) {
    TRY_ASSIGN(sys::Fd pipe, filled_pipe(content));
    give(number++, std::move(pipe));
  }
  give(jail::kReportFd, std::move(report.write));
  TRY_ASSIGN(sys::Child launcher, sys::spawn(process));
  held.clear();
  TRY_ASSIGN(const bool ended, sys::wait_readable(report.read.get(), milliseconds(30'000)));
  if (!ended) {
    // The launcher goes with `launcher`; process 1 may be beyond it already.
    if (const auto stuck = Jailed::find(run_directory, current_boot_id()); stuck && *stuck) TRY((*stuck)->kill());
    return fail(ErrorKind::kTimeout, "the jail was not ready within 30 s", "the host is perhaps very busy: try again");
  }
  TRY_ASSIGN(const std::string said, sys::read_all(report.read.get(), 4096));
  TRY(launcher.wait());
  TRY(check_report(said, spec));
  TRY_ASSIGN(auto jailed, Jailed::find(run_directory, current_boot_id()));
  if (!jailed) return fail(ErrorKind::kFailed, describe_end(run_directory));
  return std::move(*jailed);
}

Result<std::optional<Jailed>> Jailed::find(const fs::path& run_directory, std::string_view boot_id) {
  if (boot_id != current_boot_id()) return std::optional<Jailed>{};
  const auto text = sys::read_file(run_directory / "pid", 100);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::optional<Jailed>{};
  if (!text) return fail(text.error());
  const auto words = split(trim(*text), ' ');
  const auto pid = parse_u64(words[0]);
  // An unfinished file: the jail was ended before it let its program run.
  if (words.size() != 2 || !pid || *pid < 2 || *pid > 0x7fffffff || !text->ends_with('\n')) return std::optional<Jailed>{};
  const auto number = static_cast<pid_t>(*pid);
  sys::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, number, 0)));
  if (!pidfd && errno == ESRCH) return std::optional<Jailed>{};
  if (!pidfd) return fail_errno(errno, "cannot hold the jail's process");
  // Compared while we hold it: from here on the number cannot pass to another process unnoticed.
  if (start_time(number) != words[1]) return std::optional<Jailed>{};
  return Jailed(number, std::move(pidfd));
}

pid_t Jailed::program() const {
  const auto text = read_proc(fmt::format("/proc/{0}/task/{0}/children", pid_));
  if (!text) return 0;
  const auto pid = parse_u64(split(trim(*text), ' ')[0]);
  return pid ? static_cast<pid_t>(*pid) : 0;
}

Result<bool> Jailed::wait(milliseconds timeout) const { return sys::wait_readable(pidfd_.get(), timeout); }

Result<> Jailed::kill() const {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    return fail_errno(errno, "cannot end the VM's process");
  }
  TRY_ASSIGN(const bool ended, wait(milliseconds(10'000)));
  if (!ended) return fail(ErrorKind::kTimeout, "the VM's process does not end", "the host may be waiting for a disk: see dmesg");
  return {};
}

std::string describe_end(const fs::path& run_directory) {
  std::string how = "it was killed";  // with process 1, which could not note anything
  if (const auto text = sys::read_file(run_directory / "exit", 100); text && !text->empty()) {
    const auto words = split(trim(*text), ' ');
    sys::Exit exit;
    if (const auto value = words.size() == 2 ? parse_u64(words[1]) : std::nullopt) {
      (words[0] == "killed" ? exit.signal : exit.status) = static_cast<int>(*value & 0xff);
      how = "it " + exit.describe();
    }
  }
  return "the VM has ended: " + how + tail_of(run_directory / "messages.log", "QEMU's last messages") +
         tail_of(run_directory / "console.log", "the console's last lines");
}

std::string current_boot_id() {
  const auto text = read_proc("/proc/sys/kernel/random/boot_id");
  return text ? std::string(trim(*text)) : "";
}

NamespaceSettings read_namespace_settings() {
  return {.userns_clone_off = setting_is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
          .none_allowed = setting_is("/proc/sys/user/max_user_namespaces", "0"),
          .apparmor_restricts = setting_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")};
}

std::string namespace_remedy(const NamespaceSettings& settings, const fs::path& jail) {
  if (settings.userns_clone_off) {
    return "user namespaces are switched off for ordinary users: sudo sysctl -w kernel.unprivileged_userns_clone=1 (and the same line in "
           "/etc/sysctl.d/ to keep it)";
  }
  if (settings.none_allowed) {
    return "user namespaces are switched off: sudo sysctl -w user.max_user_namespaces=15000 (and the same line in /etc/sysctl.d/ to keep it)";
  }
  if (settings.apparmor_restricts) {
    return fmt::format(
        "AppArmor restricts user namespaces: allow them to this one program with the file /etc/apparmor.d/locki-jail, holding\n"
        "  abi <abi/4.0>,\n  profile locki-jail {} flags=(unconfined) {{\n    userns,\n  }}\n"
        "and then: sudo apparmor_parser -r /etc/apparmor.d/locki-jail",
        jail.native());
  }
  return "";
}

}  // namespace locki::vm
