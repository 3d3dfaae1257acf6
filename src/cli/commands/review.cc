// locki review [NAME] [--accept PATH]…
#include <algorithm>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/failure.h"
#include "cli/findings.h"
#include "cli/names.h"
#include "cli/text.h"
#include "git/fetched_refs.h"

namespace locki::cli {
namespace {

std::string diff_line(std::string_view line, const term::Style& style) {
  const auto text = visible_line(line);
  if (line.starts_with('+')) return style.green(text);
  if (line.starts_with('-')) return style.red(text);
  if (line.starts_with("@@")) return style.cyan(text);
  return text;
}

std::string shown(const json::object& file, const term::Style& style) {
  const std::string kind = json::string_or(file, "kind");
  std::string what = json::bool_or(file, "new") ? "new" : "changed";
  if (kind == "file") what += ", " + human_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(0, json::int_or(file, "size"))));
  else what += ", " + printable(kind, 20);
  if (json::bool_or(file, "executable")) what += ", executable";
  std::string out = style.bold(printable(json::string_or(file, "path"), 4000)) + "  (" + what + ")\n  " + style.yellow(printable(json::string_or(file, "why"))) + "\n";
  const std::string diff = json::string_or(file, "diff");
  for (const auto& line : split_lines(diff)) out += "  " + diff_line(line, style) + "\n";
  if (const auto note = json::string_or(file, "note"); !note.empty()) out += "  " + style.dim(printable(note)) + "\n";
  return out + "\n";
}

// One list: what is held at the door, then what is here already.
json::array together(const json::array& held, const json::array& findings) {
  json::array all;
  for (const auto& value : held) {
    json::value entry = value;
    if (auto* file = entry.if_object()) {
      (*file)["rule"] = "held";
      (*file)["severity"] = "high";
      (*file)["where"] = "door";
    }
    all.push_back(std::move(entry));
  }
  all.insert(all.end(), findings.begin(), findings.end());
  return all;
}

Result<int> accept(Context& context, const std::string& name, const std::vector<std::string>& paths) {
  json::array wanted;
  for (const auto& path : paths) wanted.emplace_back(path);
  TRY_ASSIGN(const auto reply, context.call("sandbox.accept", {{"cwd", context.cwd}, {"name", name}, {"paths", std::move(wanted)}}));
  TRY_ASSIGN(const auto accepted, json::get_array(reply, "accepted"));
  if (context.globals.json) return context.out_json(accepted), 0;
  for (const auto& path : accepted) {
    if (path.is_string()) context.note("let in: " + printable(std::string_view(path.get_string()), 4000));
  }
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto name, which_sandbox(context, arguments.value("NAME")));
  if (arguments.flag("accept") && arguments.flag("branch")) return fail(ErrorKind::kUsage, "--accept is about files at the door, --branch about one that is here", "give one of them");
  if (arguments.flag("accept")) return accept(context, name, arguments.values("accept"));
  const auto branch = arguments.value("branch");
  json::object asked{{"cwd", context.cwd}, {"name", name}};
  if (!branch.empty()) asked["branch"] = branch;
  TRY_ASSIGN(const auto reply, context.call("sandbox.review", std::move(asked)));
  TRY_ASSIGN(const auto held, json::get_array(reply, "held"));
  TRY_ASSIGN(const auto findings, json::get_array(reply, "findings"));
  const bool clean = held.empty() && findings.empty();
  if (const auto skipped = json::int_or(reply, "skipped"); skipped > 0) context.note("Of the commits before the tip, " + counted(skipped, "older one") + " were not looked at one by one.");
  if (context.globals.json) return context.out_json(together(held, findings)), clean ? 0 : kExitFound;
  if (clean) return context.note("Nothing of " + printable(name) + " runs or steers anything on your machine, as far as the rules know (" + counted(json::int_or(reply, "changed"), "changed file") + ")."), 0;
  TRY_ASSIGN(std::string out, shown_findings(findings, context.out_style()));
  if (!held.empty()) out += std::string(findings.empty() ? "" : "\n") + "Held at the door:\n\n";
  for (const auto& value : held) {
    if (!value.is_object()) return fail(ErrorKind::kProtocol, "the daemon's report holds something else");
    out += shown(value.get_object(), context.out_style());
  }
  context.out(out);
  TRY_ASSIGN(const auto counts, count_findings(findings));
  if (counts.all() > 0) context.note("On the branch and in the worktree: " + described(counts) + ". Look at them: " + (branch.empty() ? "locki diff " + printable(name) : "git diff " + printable(name) + "..." + printable(git::fetched_short_name(name, branch))));
  if (!held.empty()) context.note(counted(static_cast<long long>(held.size()), "file") + " held at the door. Let in what you have looked at: locki review " + printable(name) + " --accept PATH");
  return kExitFound;
}

}  // namespace

Command review_command() {
  return {.name = "review",
          .group = "Work",
          .summary = "what of a sandbox's work would run or steer something here",
          .description = "The return gate: what the branch and the worktree changed, committed or not, that runs or steers something on your machine once\n"
                         "you open, build, install, merge or push it, or that deceives its reader. Path, rule and reason, by severity; the rules are in\n"
                         "share/review and described in docs/review.md. Exit status 3 when something is found, 0 when it is clean.\n"
                         "Held files stay inside until you let them in; only what was shown is let in.",
          .positionals = {name_positional()},
          .options = {{"--accept", "PATH", "let this file in (repeatable; * and ? stand for anything)", true},
                      {"--branch", "BRANCH", "look at one that locki fetch brought, instead of the sandbox's own"}},
          .examples = {{"locki review my-feature", "look"}, {"locki review my-feature --accept .vscode/tasks.json", "let it in"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
