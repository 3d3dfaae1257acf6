// libexec/locki/endpoint: `endpoint` speaks the mirror's language on stdin and stdout, or on a connection that it makes; `endpoint --init-clone …` makes
// the initial clone from a pack on stdin. Both run as root in a sandbox's container, started from outside through exec.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/strings.h"
#include "endpoint/dial.h"
#include "endpoint/endpoint.h"
#include "endpoint/history.h"
#include "endpoint/init_clone.h"
#include "sys/process.h"

namespace {

using locki::Result;
using namespace locki::endpoint;

constexpr int kUsage = 2;
constexpr int kExists = 3;
constexpr int kCannotDial = 4;
constexpr std::chrono::seconds kDialTime{3};

constexpr std::string_view kHelp =
    "usage: endpoint [--git PROGRAM] [--cache DIR] [--notes FILE] [--aside DIR]\n"
    "                [--dial ADDRESS:PORT < TOKEN]       until stdin ends\n"
    "       endpoint --init-clone --root DIR --branch NAME [--oid OID < PACK] [--object-format FORMAT]\n"
    "                [--user-name NAME] [--user-email ADDRESS] [--git PROGRAM] [--helper-dir DIR] [--hostname NAME]\n"
    "                [--shallow FILE] [--history DIR]\n"
    "       endpoint --take-file FILE --size BYTES --hash BLAKE2B < CONTENT\n"
    "       endpoint --link-history FROM --to DIR\n"
    "       endpoint --version\n"
    "exit status: 0; 1 failed; 2 wrong usage; 3 (--init-clone) there is a repository already; 4 (--dial) the host is not reached there\n";

struct Arguments {
  bool clone_wanted = false, version = false, help = false;
  EndpointOptions endpoint;
  InitClone clone;
  std::string git;
  std::string dial;
  std::string take_file, size, hash;
  std::string link_history, to;
};

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  const std::pair<std::string_view, std::string*> values[] = {
      {"--git", &arguments.git},
      {"--dial", &arguments.dial},
      {"--cache", &arguments.endpoint.cache_directory},
      {"--notes", &arguments.endpoint.notes},
      {"--aside", &arguments.endpoint.aside},
      {"--root", &arguments.clone.repository.root},
      {"--branch", &arguments.clone.repository.branch},
      {"--oid", &arguments.clone.oid},
      {"--object-format", &arguments.clone.repository.object_format},
      {"--user-name", &arguments.clone.repository.user_name},
      {"--user-email", &arguments.clone.repository.user_email},
      {"--hostname", &arguments.clone.hostname},
      {"--shallow", &arguments.clone.boundary_file},
      {"--history", &arguments.clone.history},
      {"--take-file", &arguments.take_file},
      {"--size", &arguments.size},
      {"--hash", &arguments.hash},
      {"--link-history", &arguments.link_history},
      {"--to", &arguments.to},
      {"--helper-dir", &arguments.clone.helper_directory}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--init-clone") {
      arguments.clone_wanted = true;
    } else if (word == "--version") {
      arguments.version = true;
    } else if (word == "--help") {
      arguments.help = true;
    } else {
      std::string* value = nullptr;
      for (const auto& [name, target] : values)
        if (word == name) value = target;
      if (value == nullptr || i + 1 == argc)
        return locki::fail(locki::ErrorKind::kUsage, "wrong argument: " + locki::printable(word));
      *value = argv[++i];
    }
  }
  if (arguments.clone_wanted &&
      (!arguments.clone.repository.root.starts_with('/') || arguments.clone.repository.branch.empty()))
    return locki::fail(locki::ErrorKind::kUsage, "--init-clone needs an absolute --root and a --branch");
  if (!arguments.link_history.empty() && arguments.to.empty()) return locki::fail(locki::ErrorKind::kUsage, "--link-history needs --to");
  return arguments;
}

Result<> take(const Arguments& arguments) {
  const auto size = locki::parse_u64(arguments.size);
  const auto hash = locki::Hash::from_hex(arguments.hash);
  if (!size || !hash) return locki::fail(locki::ErrorKind::kUsage, "--take-file needs a --size and a --hash");
  return take_file(STDIN_FILENO, arguments.take_file, *size, *hash);
}

Result<> run(Arguments& arguments, const locki::sys::Fd& dialled) {
  if (!arguments.take_file.empty()) return take(arguments);
  if (!arguments.link_history.empty()) return link_history(arguments.link_history, arguments.to);
  if (arguments.git.empty()) {
    TRY_ASSIGN(arguments.git, locki::sys::find_program("git"));
  }
  arguments.endpoint.git = arguments.clone.repository.git = arguments.git;
  if (arguments.clone_wanted) return init_clone(STDIN_FILENO, arguments.clone);
  if (!dialled) return serve(STDIN_FILENO, STDOUT_FILENO, arguments.endpoint);
  arguments.endpoint.lifeline = STDIN_FILENO;
  return serve(dialled.get(), dialled.get(), arguments.endpoint);
}

int complain(const locki::Error& error, int status) {
  std::fprintf(stderr, "endpoint: %s\n", error.describe().c_str());
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  locki::log::open(STDERR_FILENO, locki::log::Level::kWarning, "endpoint");
  auto arguments = parse(argc, argv);
  if (!arguments || arguments->help) {
    if (!arguments) std::fprintf(stderr, "endpoint: %s\n", arguments.error().message().c_str());
    std::fputs(std::string(kHelp).c_str(), arguments ? stdout : stderr);
    return arguments ? 0 : kUsage;
  }
  if (arguments->version) {
    std::puts("endpoint " LOCKI_VERSION);
    return 0;
  }
  locki::sys::Fd dialled;
  if (!arguments->dial.empty()) {
    auto connection = dial(STDIN_FILENO, arguments->dial, kDialTime);
    if (!connection) return complain(connection.error(), connection.error().kind() == locki::ErrorKind::kUsage ? kUsage : kCannotDial);
    dialled = std::move(*connection);
  }
  const Result<> done = run(*arguments, dialled);
  if (done) return 0;
  return complain(done.error(), done.error().kind() == locki::ErrorKind::kExists ? kExists : 1);
}
