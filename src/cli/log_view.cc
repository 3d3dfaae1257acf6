#include "cli/log_view.h"

#include <thread>

#include "base/strings.h"
#include "cli/text.h"

namespace locki::cli {

std::vector<Option> log_options() {
  return {{"-n,--limit", "N", "the last N (default: 50)"}, {"-f,--follow", "", "go on as they come"}};
}

// Entries have no number of their own: what was shown is known by its text, as far back as one answer reaches.
Result<int> show_log(Context& context, const Arguments& arguments, std::string_view method, json::object params,
                     const std::function<std::string(const json::object& entry, const term::Style& style)>& line) {
  std::int64_t limit = 50;
  if (const auto text = arguments.value("limit"); !text.empty()) {
    const auto number = parse_u64(text);
    if (!number || *number == 0 || *number > 100'000) return fail(ErrorKind::kUsage, "--limit takes a number from 1 to 100000");
    limit = static_cast<std::int64_t>(*number);
  }
  params["limit"] = limit;
  TRY_ASSIGN(auto caller, context.services.connect());
  std::string last;
  for (;;) {
    TRY_ASSIGN(const auto reply, caller->call(method, params, context.progress));
    TRY_ASSIGN(const auto entries, json::get_array(reply.result, "entries"));
    if (context.globals.json && !arguments.flag("follow")) return context.out_json(entries), 0;
    std::size_t first = 0;
    for (std::size_t i = entries.size(); i-- > 0 && first == 0 && !last.empty();) {
      if (json::serialize(entries[i]) == last) first = i + 1;
    }
    std::string text;
    for (std::size_t i = first; i < entries.size(); ++i) {
      if (!entries[i].is_object()) continue;
      text += context.globals.json ? escape_json(json::serialize(entries[i])) + "\n" : line(entries[i].get_object(), context.out_style());
    }
    if (!text.empty()) context.out(text);
    if (!entries.empty()) last = json::serialize(entries.back());
    if (!arguments.flag("follow")) return 0;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace locki::cli
