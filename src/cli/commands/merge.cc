// locki merge NAME [--reviewed] [--squash | --no-ff]: the sandbox's branch into the checkout that one stands in, after review.
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/findings.h"
#include "cli/names.h"
#include "cli/text.h"
#include "git/filters.h"
#include "git/merge.h"

namespace locki::cli {
namespace {

// The user's own checkout: not where a sandbox works, whose files and attributes are the agent's.
Result<git::Repository> checkout_of(const Context& context, const json::object& list) {
  TRY_ASSIGN(const auto program, git::find_git(context.paths.home));
  TRY_ASSIGN(auto checkout, git::Repository::discover(program, context.cwd));
  TRY_ASSIGN(const auto sandboxes, json::get_array(list, "sandboxes"));
  for (const auto& value : sandboxes) {
    if (!value.is_object() || json::string_or(value.get_object(), "worktree") != checkout.toplevel().native()) continue;
    return fail(ErrorKind::kUsage, "this is the worktree of the sandbox " + printable(json::string_or(value.get_object(), "name")),
                "merge where you work yourself: cd " + printable(json::string_or(value.get_object(), "repo")));
  }
  TRY_ASSIGN(const auto why, git::why_not_mergeable(checkout));
  if (why) return fail(ErrorKind::kConflict, "nothing can be merged here: " + *why, "git status");
  return checkout;
}

// What git says goes to the person, filtered: it names files.
void pass_on(Context& context, const sys::Output& output) {
  for (const std::string& text : {output.out, output.err})
    for (const auto& line : split_lines(text)) context.note(visible_line(line));
}

Result<> merge(Context& context, const git::Repository& checkout, const std::string& name, const std::string& head, const git::Merge& merge) {
  auto spec = git::merge_command(checkout, merge, context.environment);
  TRY_ASSIGN(const bool steered, git::brings_attributes(checkout, head, merge.tip));
  if (steered) {
    TRY(git::disable_filters(checkout, spec));
    TRY(git::disable_merge_drivers(checkout, spec));
    context.note("The branch changes .gitattributes: filters and merge drivers of your configuration stay off for this merge.");
  }
  TRY_ASSIGN(const auto output, sys::run(spec, {}, {.timeout = std::chrono::minutes(60)}));
  pass_on(context, output);
  if (!output.exit.ok())
    return fail(ErrorKind::kConflict, "git merge " + output.exit.describe(), "solve what git names and commit, or go back: git merge --abort");
  context.note(merge.squash ? printable(name) + " is staged, not committed: git commit" : "merged " + printable(name) + "; when you need it no more: locki rm --merged");
  return {};
}

Result<int> run(Context& context, const Arguments& arguments) {
  if (arguments.flag("squash") && arguments.flag("no-ff")) return fail(ErrorKind::kUsage, "--squash makes no merge commit, so --no-ff says nothing", "give one of them");
  const bool reviewed = arguments.flag("reviewed");
  TRY_ASSIGN(const auto daemon, context.services.connect());
  TRY_ASSIGN(const auto name, which_sandbox(context, *daemon, arguments.value("NAME")));
  TRY_ASSIGN(const auto list, daemon->call("sandbox.list", {{"cwd", context.cwd}, {"all", false}}, context.progress));
  TRY_ASSIGN(const auto sandbox, find_sandbox(list.result, name));
  TRY_ASSIGN(const auto checkout, checkout_of(context, list.result));
  TRY_ASSIGN(const auto head, checkout.resolve("HEAD"));
  TRY_ASSIGN(const auto reply, daemon->call("sandbox.review", {{"cwd", context.cwd}, {"name", name}, {"into", head}}, context.progress));
  TRY_ASSIGN(const auto findings, json::get_array(reply.result, "findings"));
  TRY_ASSIGN(const auto counts, count_findings(findings));
  TRY_ASSIGN(const auto tip, json::get_string(reply.result, "tip"));
  if (!git::is_object_id(tip)) return fail(ErrorKind::kProtocol, "the daemon names no commit");
  const bool shown_before = json::bool_or(reply.result, "shown_before");
  if (counts.high > 0 && !(reviewed && shown_before)) {
    if (context.globals.json) return context.out_json(json::object{{"merged", false}, {"tip", tip}, {"findings", findings}}), kExitFound;
    TRY_ASSIGN(const auto text, shown_findings(findings, context.out_style(), true));
    context.out(text);
    context.note(reviewed ? "Not merged: this state of the branch had not been shown yet. Look at it, then once more." :
                            "Not merged. Look at it (locki diff " + printable(name) + ", locki review " + printable(name) + "), then: locki merge " + printable(name) + " --reviewed");
    return kExitFound;
  }
  TRY(merge(context, checkout, name, head, {.tip = tip, .message = "Merge branch '" + name + "'", .squash = arguments.flag("squash"), .no_ff = arguments.flag("no-ff")}));
  if (json::bool_or(sandbox, "dirty")) context.note("What is not committed in " + printable(name) + " was not merged.");
  if (context.globals.json) context.out_json(json::object{{"merged", true}, {"tip", tip}, {"findings", findings}});
  else if (counts.all() > 0) context.note("The return gate noticed: " + described(counts) + " (locki review " + printable(name) + ")");
  return 0;
}

}  // namespace

Command merge_command() {
  return {.name = "merge",
          .group = "Work",
          .summary = "merge a sandbox's branch here, after review",
          .description = "Waits until everything has come out, looks at what the merge would bring (locki review), and runs git merge in the checkout you\n"
                         "are in. Exit status 3 and no merge while there is a finding of high severity, unless --reviewed says that you have looked;\n"
                         "that counts for exactly the state that was shown. Your git configuration counts, hooks do not run. Changes that are not\n"
                         "committed stay in the sandbox.",
          .positionals = {name_positional()},
          .options = {{"--reviewed", "", "you have looked at the findings that were shown"},
                      {"--squash", "", "stage all of it as one change, without a commit"},
                      {"--no-ff", "", "always make a merge commit"}},
          .examples = {{"locki merge my-feature", "merge what is harmless"}, {"locki merge my-feature --reviewed", "also what was shown"}},
          .json = true,
          .run = run};
}

}  // namespace locki::cli
