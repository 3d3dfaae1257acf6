// locki net policy|explain|allow|deny|log
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/text.h"
#include "term/table.h"

namespace locki::cli {
namespace {

Result<int> policy(Context& context, const Arguments&) {
  TRY_ASSIGN(const auto reply, context.call("net.policy", {}));
  if (context.globals.json) return context.out_json(reply), 0;
  TRY_ASSIGN(const auto mode, json::get_string(reply, "mode"));
  TRY_ASSIGN(const auto rules, json::get_array(reply, "rules"));
  context.out("mode: " + printable(mode) + "\n");
  term::Table table({{.title = "RULE", .shrinks = true}, {.title = "FROM", .shrinks = true}});
  for (const auto& rule : rules) {
    if (rule.is_object()) table.add({json::string_or(rule.get_object(), "rule"), {json::string_or(rule.get_object(), "source"), term::Tint::kDim}});
  }
  if (!table.empty()) context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  if (const auto* services = json::array_or_null(reply, "services"); services != nullptr && !services->empty()) {
    term::Table served({{.title = "SERVICE"}, {.title = "ON THIS MACHINE"}});
    for (const auto& service : *services) {
      if (service.is_object()) served.add({json::string_or(service.get_object(), "name"), json::string_or(service.get_object(), "target")});
    }
    context.out(served.render(context.terminal.out_facts.columns, context.out_style()));
  }
  return 0;
}

Result<int> explain(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto reply, context.call("net.explain", {{"host", arguments.value("HOST")}}));
  if (context.globals.json) return context.out_json(reply), 0;
  TRY_ASSIGN(const auto text, json::get_string(reply, "text"));
  context.out(visible_lines(text, 0) + "\n");
  return 0;
}

Result<int> change(Context& context, const Arguments& arguments, const char* method, const std::string& done) {
  const auto host = arguments.value("HOST");
  TRY_ASSIGN(const auto reply, context.call(method, {{"host", host}, {"scope", "all"}}));
  (void)reply;
  context.note(printable(host) + " " + done + ", for all sandboxes, from now on");
  return 0;
}

std::string log_line(const json::object& entry, const term::Style& style) {
  const auto event = json::string_or(entry, "event");
  auto shown = printable(event);
  shown.resize(std::max<std::size_t>(shown.size(), 7), ' ');
  auto target = json::string_or(entry, "host", json::string_or(entry, "address"));
  if (const auto port = json::int_or(entry, "port"); port > 0) target += ":" + std::to_string(port);
  std::string line = style.dim(printable(json::string_or(entry, "time"))) + "  ";
  line += event == "refused" ? style.red(shown) : event == "failed" ? style.yellow(shown) : style.green(shown);
  line += "  " + printable(target, 300);
  if (const auto origin = json::string_or(entry, "origin"); !origin.empty()) line += "  " + printable(origin);
  if (event == "closed") {
    const auto bytes = [&](const char* key) { return human_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(json::int_or(entry, key), 0))); };
    line += style.dim("  " + bytes("bytes_out") + " out, " + bytes("bytes_in") + " in");
  }
  const auto why = json::string_or(entry, "reason", json::string_or(entry, "rule"));
  if (event != "closed" && !why.empty()) line += style.dim("  " + printable(why, 200));
  return line + "\n";
}

// Entries without a number of their own: what was shown is known by its text, as far back as one answer reaches.
Result<int> log(Context& context, const Arguments& arguments) {
  std::int64_t limit = 50;
  if (const auto text = arguments.value("limit"); !text.empty()) {
    const auto number = parse_u64(text);
    if (!number || *number == 0 || *number > 100'000) return fail(ErrorKind::kUsage, "--limit takes a number from 1 to 100000");
    limit = static_cast<std::int64_t>(*number);
  }
  TRY_ASSIGN(auto caller, context.services.connect());
  std::string last;
  for (;;) {
    TRY_ASSIGN(const auto reply, caller->call("net.log", {{"limit", limit}}, context.progress));
    TRY_ASSIGN(const auto entries, json::get_array(reply.result, "entries"));
    if (context.globals.json && !arguments.flag("follow")) return context.out_json(entries), 0;
    std::size_t first = 0;
    for (std::size_t i = entries.size(); i-- > 0 && first == 0 && !last.empty();) {
      if (json::serialize(entries[i]) == last) first = i + 1;
    }
    std::string text;
    for (std::size_t i = first; i < entries.size(); ++i) {
      if (!entries[i].is_object()) continue;
      text += context.globals.json ? escape_json(json::serialize(entries[i])) + "\n" : log_line(entries[i].get_object(), context.out_style());
    }
    if (!text.empty()) context.out(text);
    if (!entries.empty()) last = json::serialize(entries.back());
    if (!arguments.flag("follow")) return 0;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

Command net_command() {
  const Positional host{"HOST", "example.org, .example.org for all below it, with :PORT if need be", true};
  return {.name = "net",
          .group = "Machine",
          .summary = "see and change what sandboxes may reach",
          .examples = {{"locki net log", "who wanted to go where"}, {"locki net allow .example.org", "open a door"}},
          .children = {
              {.name = "policy",
               .summary = "the rules, in their order",
               .examples = {{"locki net policy", ""}},
               .json = true,
               .run = policy},
              {.name = "explain",
               .summary = "whether a host may be reached, and by which rule",
               .positionals = {host},
               .examples = {{"locki net explain registry.example.org:443", ""}},
               .json = true,
               .run = explain},
              {.name = "allow",
               .summary = "allow a host",
               .positionals = {host},
               .examples = {{"locki net allow .example.org", "that domain and all below it"}},
               .run = [](Context& context, const Arguments& arguments) { return change(context, arguments, "net.allow", "is allowed"); }},
              {.name = "deny",
               .summary = "deny a host",
               .positionals = {host},
               .examples = {{"locki net deny ads.example.org", ""}},
               .run = [](Context& context, const Arguments& arguments) { return change(context, arguments, "net.deny", "is denied"); }},
              {.name = "log",
               .summary = "connections that were allowed and denied",
               .options = {{"-n,--limit", "N", "the last N (default: 50)"}, {"-f,--follow", "", "go on as they come"}},
               .examples = {{"locki net log -f", "watch"}},
               .json = true,
               .run = log},
          }};
}

}  // namespace locki::cli
