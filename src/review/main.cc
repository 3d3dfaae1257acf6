// libexec/locki/review: the return gate's eyes. A process of its own, because it parses what a sandbox wrote: it is confined before it reads the first
// byte of that, and holds no keys. Request and answer are one JSON object each, on standard input and output (request.h).
#include <unistd.h>

#include "base/log.h"
#include "review/request.h"
#include "sys/limits.h"

namespace {

using namespace locki;

constexpr std::size_t kMaxRequest = 256 << 20;

Result<> work() {
  TRY_ASSIGN(const std::string text, sys::read_all(STDIN_FILENO, kMaxRequest));
  TRY_ASSIGN(const json::object o, json::parse_object(text, kMaxRequest));
  TRY_ASSIGN(const auto request, review::request_from_json(o));
  TRY_ASSIGN(const auto report, review::answer(request));
  return sys::write_all(STDOUT_FILENO, json::serialize(review::to_json(report)) + "\n");
}

}  // namespace

int main() {
  sys::limit_hostile_work();
  const auto done = work();
  if (done) return 0;
  (void)sys::write_all(STDERR_FILENO, printable(done.error().describe(), 2000) + "\n");
  return 1;
}
