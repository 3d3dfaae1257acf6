// The program `locki`: puts the real parts together and runs the command. Everything else is in the library, where tests reach it.
//
// There are two of it. bin/locki is what people start: without TLS, because loading OpenSSL alone takes longer than most commands. For those that
// go inside, and for the daemon, it becomes libexec/locki/locki, which has everything. They differ in real_services() only.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/agent_names.h"
#include "cli/app.h"
#include "cli/environment.h"
#include "cli/failure.h"
#include "cli/main_services.h"

namespace {

using namespace locki;

std::string value_of(const std::map<std::string, std::string>& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

cli::Terminal terminal_of(const std::map<std::string, std::string>& environment) {
  const auto term = value_of(environment, "TERM"), no_color = value_of(environment, "NO_COLOR");
  cli::Terminal terminal;
  terminal.in_facts = term::facts_of(0, term, no_color);
  terminal.out_facts = term::facts_of(1, term, no_color);
  terminal.err_facts = term::facts_of(2, term, no_color);
  terminal.write_out = [](std::string_view text) { std::ignore = sys::write_all(1, text); };
  terminal.write_err = [](std::string_view text) { std::ignore = sys::write_all(2, text); };
  return terminal;
}

Result<int> run(char** argv, const std::vector<std::string>& words) {
  const auto environment = cli::host_environment();
  TRY_ASSIGN(const auto paths, sys::paths_from_environment());
  TRY_ASSIGN(const auto installation, sys::find_installation());
  std::error_code error;
  const auto cwd = std::filesystem::current_path(error);  // canonical, as the kernel says it
  if (error) return fail_errno(error.value(), "the current directory cannot be used");
  const auto services = cli::real_services(paths, installation, argv);
  cli::Context context{.services = *services,
                       .terminal = terminal_of(environment),
                       .paths = paths,
                       .installation = installation,
                       .cwd = cwd.string(),
                       .environment = environment,
                       .agents = cli::agent_names(paths, installation)};
  return cli::run_app(context, words);
}

}  // namespace

int main(int argc, char** argv) {
  // Before anything else: scripts ask for it often, and it must answer even where nothing else works.
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    std::puts("locki " LOCKI_VERSION);
    return 0;
  }
  // A closed pipe is an error of the write, not the end of the program: descriptors of several peers are held here.
  std::signal(SIGPIPE, SIG_IGN);
  const auto status = run(argv, {argv + std::min(argc, 1), argv + argc});
  if (status) return *status;
  const auto terminal = terminal_of(cli::host_environment());
  terminal.write_err(cli::rendered(status.error(), term::Style(terminal.err_facts.colour)));
  return cli::exit_status(status.error(), false);
}
