#include "cli/failure.h"

#include "cli/text.h"

namespace locki::cli {
namespace {

// "while starting the VM" is what was being done: it failed.
std::string failed(const std::string& context) {
  constexpr std::string_view kWhile = "while ";
  return context.starts_with(kWhile) ? context.substr(kWhile.size()) + " failed" : context;
}

}  // namespace

int exit_status(const Error& error, bool session) {
  if (session) return kExitLocki;
  return error.kind() == ErrorKind::kUsage ? kExitUsage : kExitFailed;
}

std::string rendered(const Error& error, const term::Style& style) {
  const auto& contexts = error.contexts();
  const auto head = contexts.empty() ? error.message() : failed(contexts.back());
  std::string out = style.red("locki:") + " " + visible_lines(head, 4) + "\n";
  if (!contexts.empty()) {
    std::string because;
    for (std::size_t i = contexts.size() - 1; i-- > 0;) because += failed(contexts[i]) + ": ";
    out += "  because " + visible_lines(because + error.message(), 4) + "\n";
  }
  if (!error.hint().empty()) out += "  " + style.dim("try:") + " " + visible_lines(error.hint(), 7) + "\n";
  return out;
}

}  // namespace locki::cli
