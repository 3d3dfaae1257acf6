#include "cli/commands/net_watch.h"

#include <poll.h>
#include <unistd.h>

#include <optional>
#include <set>

#include "base/strings.h"
#include "cli/context.h"
#include "cli/text.h"

namespace locki::cli {
namespace {

constexpr int kPollMs = 300;

struct Question {
  std::string sandbox, id, target;
  auto operator<=>(const Question&) const = default;
};

Result<std::set<Question>> ask_daemon(Caller& caller, const Context& context) {
  TRY_ASSIGN(const auto reply, caller.call("net.questions", {}, context.progress));
  TRY_ASSIGN(const auto entries, json::get_array(reply.result, "questions"));
  std::set<Question> questions;
  for (const auto& entry : entries) {
    if (!entry.is_object()) return fail(ErrorKind::kProtocol, "the daemon's questions hold something else");
    const auto& o = entry.get_object();
    questions.insert({json::string_or(o, "sandbox"), json::string_or(o, "sandbox_id"), json::string_or(o, "target")});
  }
  return questions;
}

// What the user has typed, a line at a time, without waiting longer than one round.
class Input {
 public:
  explicit Input(int fd) : fd_(fd) {}
  bool ended() const { return ended_; }
  std::optional<std::string> line(int wait_ms) {
    if (const auto end = buffered_.find('\n'); end != std::string::npos) {
      std::string text = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return text;
    }
    pollfd poll_fd{fd_, POLLIN, 0};
    if (ended_ || ::poll(&poll_fd, 1, wait_ms) <= 0) return std::nullopt;
    char chunk[256];
    const ssize_t n = ::read(fd_, chunk, sizeof chunk);
    ended_ = n <= 0 || buffered_.size() > 4096;
    if (n > 0) buffered_.append(chunk, static_cast<std::size_t>(n));
    return buffered_.find('\n') == std::string::npos ? std::nullopt : line(0);
  }

 private:
  int fd_;
  std::string buffered_;
  bool ended_ = false;
};

std::string answer_for(std::string_view typed) {
  const std::string word = ascii_lower(trim(typed));
  for (const auto& [letter, whole] : {std::pair{"o", "once"}, {"s", "sandbox"}, {"a", "always"}, {"d", "deny"}})
    if (word == letter || word == whole) return whole;
  return "";
}

void show(Context& context, const Question& question) {
  if (context.globals.json) {
    context.out(escape_json(json::serialize(json::object{{"sandbox", question.sandbox}, {"sandbox_id", question.id}, {"target", question.target}})) + "\n");
  } else {
    context.out(printable(question.sandbox, 100) + " wants to reach " + printable(question.target, 300) + "   [o]nce [s]andbox [a]lways [d]eny ? ");
  }
}

}  // namespace

Result<int> watch_network(Context& context, const Arguments&) {
  TRY_ASSIGN(auto caller, context.services.connect());
  Input input(context.terminal.in);
  std::set<Question> seen;            // shown and still open
  std::optional<Question> current;    // the one that the next line answers
  if (!context.globals.json) context.note("Waiting for sandboxes in mode ask; end with Ctrl-C.");
  for (;;) {
    TRY_ASSIGN(const auto open, ask_daemon(*caller, context));
    std::erase_if(seen, [&](const Question& each) { return !open.contains(each); });
    if (current && !open.contains(*current)) {
      context.out("\nnot answered in time\n");
      current.reset();
    }
    for (const Question& each : open) {
      if (seen.contains(each) || (current && !context.globals.json)) continue;
      seen.insert(each);
      current = each;
      show(context, each);
    }
    const auto typed = input.line(kPollMs);
    if (input.ended() && !typed) return 0;
    if (!typed || !current || context.globals.json) continue;
    const std::string answer = answer_for(*typed);
    if (answer.empty()) {
      seen.erase(*current);  // asked again
    } else {
      auto done = caller->call("net.answer", {{"sandbox_id", current->id}, {"target", current->target}, {"answer", answer}}, context.progress);
      if (!done) context.note(printable(done.error().describe()));
    }
    current.reset();
  }
}

}  // namespace locki::cli
