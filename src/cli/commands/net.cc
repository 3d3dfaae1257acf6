// locki net policy|allow|deny|wishes|grant|mode|watch|log
#include <algorithm>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/commands/net_watch.h"
#include "cli/context.h"
#include "cli/log_view.h"
#include "cli/names.h"
#include "cli/text.h"
#include "term/table.h"

namespace locki::cli {
namespace {

Result<int> policy(Context& context, const Arguments& arguments) {
  json::object params{{"cwd", context.cwd}, {"name", arguments.value("NAME")}};
  if (const auto host = arguments.value("explain"); !host.empty()) {
    params["host"] = host;
    TRY_ASSIGN(const auto explained, context.call("net.explain", std::move(params)));
    if (context.globals.json) return context.out_json(explained), 0;
    TRY_ASSIGN(const auto text, json::get_string(explained, "text"));
    context.out(visible_lines(text, 0) + "\n");
    return 0;
  }
  TRY_ASSIGN(const auto reply, context.call("net.policy", std::move(params)));
  if (context.globals.json) return context.out_json(reply), 0;
  TRY_ASSIGN(const auto mode, json::get_string(reply, "mode"));
  TRY_ASSIGN(const auto rules, json::get_array(reply, "rules"));
  const auto sandbox = json::string_or(reply, "sandbox");
  context.out((sandbox.empty() ? "" : "sandbox: " + printable(sandbox) + "\n") + "mode: " + printable(mode) + "\n");
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

// The sandbox that a rule of that scope is for; "" for all of them.
Result<std::string> sandbox_for(Context& context, const Arguments& arguments, const std::string& scope) {
  if (scope == "always") return std::string();
  return which_sandbox(context, arguments.value("NAME"));
}

Result<int> change(Context& context, const Arguments& arguments, bool allow) {
  const auto host = arguments.value("HOST");
  std::vector<std::string> scopes;
  for (const char* each : {"once", "sandbox", "repo", "always"})
    if (arguments.flag(each)) scopes.emplace_back(each);
  if (scopes.size() > 1) return fail(ErrorKind::kUsage, "--" + scopes[0] + " and --" + scopes[1] + " do not go together");
  // Who names a sandbox means that one.
  const std::string scope = !scopes.empty() ? scopes[0] : arguments.value("NAME").empty() ? "always" : "sandbox";
  TRY_ASSIGN(const auto name, sandbox_for(context, arguments, scope));
  TRY_ASSIGN(const auto reply, context.call(allow ? "net.allow" : "net.deny", {{"host", host}, {"scope", scope}, {"cwd", context.cwd}, {"name", name}}));
  const std::string whom = scope == "always"    ? "for all sandboxes, from now on"
                           : scope == "repo"    ? "for all sandboxes of this repository, from now on"
                           : scope == "sandbox" ? "for " + printable(name) + ", from now on"
                                                : "for " + printable(name) + " until it is stopped";
  context.note(printable(host) + (allow ? " is allowed, " : " is denied, ") + whom);
  if (const auto note = json::string_or(reply, "note"); !note.empty()) context.note(printable(note, 600));
  return 0;
}

struct Wish {
  std::string rule, state;
};
Result<std::vector<Wish>> wishes_of(Context& context, const std::string& name) {
  TRY_ASSIGN(const auto reply, context.call("net.wishes", {{"cwd", context.cwd}, {"name", name}}));
  TRY_ASSIGN(const auto entries, json::get_array(reply, "wishes"));
  std::vector<Wish> all;
  for (const auto& entry : entries)
    if (entry.is_object()) all.push_back({json::string_or(entry.get_object(), "rule"), json::string_or(entry.get_object(), "state")});
  return all;
}

Result<int> wishes(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(const auto all, wishes_of(context, name));
  if (context.globals.json) {
    json::array list;
    for (const auto& wish : all) list.push_back(json::object{{"rule", wish.rule}, {"state", wish.state}});
    return context.out_json(json::object{{"sandbox", name}, {"wishes", std::move(list)}}), 0;
  }
  if (all.empty()) return context.note("The repository wishes for no host."), 0;
  term::Table table({{.title = "HOST", .shrinks = true}, {.title = "STATE"}});
  bool open = false;
  for (const auto& wish : all) {
    open = open || wish.state == "open";
    table.add({printable(wish.rule, 300), printable(wish.state, 20)});
  }
  context.out(table.render(context.terminal.out_facts.columns, context.out_style()));
  if (open) context.note("To allow what is open, for the repository: locki net grant " + printable(name));
  return 0;
}

Result<int> grant(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(const auto all, wishes_of(context, name));
  // By their text: what is granted is what was shown here, should the list change meanwhile.
  json::array rules;
  for (const auto& wish : all)
    if (wish.state == "open") rules.emplace_back(wish.rule);
  if (rules.empty()) return context.note("There is nothing to grant: locki net wishes " + printable(name)), 0;
  TRY_ASSIGN(const auto reply, context.call("net.grant", {{"cwd", context.cwd}, {"name", name}, {"rules", std::move(rules)}}));
  TRY_ASSIGN(const auto granted, json::get_array(reply, "granted"));
  for (const auto& each : granted)
    if (each.is_string()) context.note(printable(std::string_view(each.get_string()), 300) + " is allowed, for sandboxes of this repository that wish for it");
  return 0;
}

Result<int> mode(Context& context, const Arguments& arguments) {
  const auto wanted = arguments.value("MODE");
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  TRY_ASSIGN(const auto reply, context.call("net.mode", {{"mode", wanted == "default" ? "" : wanted}, {"cwd", context.cwd}, {"name", name}}));
  (void)reply;
  context.note(printable(name) + ": the network's mode is " + (wanted == "default" ? "the config's" : printable(wanted)));
  return 0;
}

std::string log_line(const json::object& entry, const term::Style& style) {
  const auto event = json::string_or(entry, "event");
  auto shown = printable(event);
  shown.resize(std::max<std::size_t>(shown.size(), 7), ' ');
  auto target = json::string_or(entry, "host", json::string_or(entry, "address"));
  if (const auto port = json::int_or(entry, "port"); port > 0) target += ":" + std::to_string(port);
  std::string line = style.dim(printable(json::string_or(entry, "time"))) + "  ";
  line += event == "refused" ? style.red(shown) : event == "failed" || event == "asked" ? style.yellow(shown) : style.green(shown);
  line += "  " + printable(target, 300);
  if (const auto address = json::string_or(entry, "address"); !address.empty() && event != "refused") line += style.dim("  " + printable(address));
  if (const auto sandbox = json::string_or(entry, "sandbox"); !sandbox.empty()) line += "  " + printable(sandbox);
  if (event == "closed") {
    const auto bytes = [&](const char* key) { return human_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(json::int_or(entry, key), 0))); };
    line += style.dim("  " + bytes("bytes_out") + " out, " + bytes("bytes_in") + " in, " + std::to_string(std::max<std::int64_t>(json::int_or(entry, "ms"), 0) / 1000) +
                      " s");
  }
  const auto why = json::string_or(entry, "reason", json::string_or(entry, "rule"));
  if (event != "closed" && !why.empty()) line += style.dim("  " + printable(why, 200));
  return line + "\n";
}

Result<int> log(Context& context, const Arguments& arguments) {
  return show_log(context, arguments, "net.log", {{"cwd", context.cwd}, {"name", arguments.value("NAME")}}, log_line);
}

}  // namespace

Command net_command() {
  const Positional host{"HOST", "example.org, .example.org for all below it, with :PORT if need be", true};
  const Positional maybe_name{"NAME", "the sandbox", false, Completes::kSandboxes};
  const std::vector<Option> scopes = {{"--once", "", "until the sandbox is stopped"},
                                      {"--sandbox", "", "for one sandbox (default when one is named)"},
                                      {"--repo", "", "for all sandboxes of the repository"},
                                      {"--always", "", "for all sandboxes (default when none is named)"}};
  return {.name = "net",
          .group = "Machine",
          .summary = "see and change what sandboxes may reach",
          .examples = {{"locki net log", "who wanted to go where"}, {"locki net allow .example.org", "open a door"}},
          .children = {
              {.name = "policy",
               .summary = "the rules, in their order",
               .positionals = {maybe_name},
               .options = {{"--explain", "HOST[:PORT]", "whether that host may be reached, and by which rule"}},
               .examples = {{"locki net policy", "the rules of the sandbox you are in, else of all"},
                            {"locki net policy --explain registry.example.org:443 my-feature", ""}},
               .json = true,
               .run = policy},
              {.name = "allow",
               .summary = "allow a host",
               .positionals = {host, maybe_name},
               .options = scopes,
               .examples = {{"locki net allow .example.org", "that domain and all below it"},
                            {"locki net allow db.example.org:5432 my-feature", "one port, for one sandbox"}},
               .run = [](Context& context, const Arguments& arguments) { return change(context, arguments, true); }},
              {.name = "deny",
               .summary = "deny a host",
               .positionals = {host, maybe_name},
               .options = scopes,
               .examples = {{"locki net deny ads.example.org", ""}},
               .run = [](Context& context, const Arguments& arguments) { return change(context, arguments, false); }},
              {.name = "wishes",
               .summary = "hosts that the repository would like to reach",
               .description = "Lists what [net] allow of the repository's committed locki.toml names, as of the commit at which the sandbox began. It opens\n"
                              "nothing by itself. States: open (not allowed), granted, allowed (by another rule), denied (by a rule of yours).",
               .positionals = {name_positional()},
               .examples = {{"locki net wishes my-feature", ""}},
               .json = true,
               .run = wishes},
              {.name = "grant",
               .summary = "allow what the repository wishes for",
               .description = "Allows every open wish that `locki net wishes` lists, for all sandboxes of the repository whose commit names it too. What you\n"
                              "have denied stays denied.",
               .positionals = {name_positional()},
               .examples = {{"locki net grant my-feature", ""}},
               .run = grant},
              {.name = "mode",
               .summary = "how one sandbox treats hosts that no rule names",
               .description = "gate refuses them, ask holds the connection until you have decided in `locki net watch`, open lets every public host pass,\n"
                              "off refuses everything, default is what the config says for all.",
               .positionals = {{"MODE", "gate, ask, open, off or default", true}, name_positional()},
               .examples = {{"locki net mode ask my-feature", ""}},
               .run = mode},
              {.name = "watch",
               .summary = "decide on connections that are held",
               .description = "Shows each host that a sandbox in mode ask wants to reach, and takes your answer: o (once: until the sandbox is stopped),\n"
                              "s (this sandbox), a (always, all sandboxes), d (deny, until the sandbox is stopped). Without an answer in time: no.",
               .examples = {{"locki net watch", "in a second terminal"}},
               .json = true,
               .run = watch_network},
              {.name = "log",
               .summary = "connections that were allowed and denied",
               .positionals = {maybe_name},
               .options = log_options(),
               .examples = {{"locki net log -f", "watch"}},
               .json = true,
               .run = log},
          }};
}

}  // namespace locki::cli
