// How often the return gate's rules speak on ordinary work: every commit of a repository (no merges, no root) is judged as if a sandbox had made it.
//   bench_review REPOSITORY [MOST]
// Prints findings by rule, per 100 commits, and how many commits a `locki merge` would have refused. Reads objects only.
#include <cstdio>
#include <map>
#include <string>

#include "review/branch.h"
#include "sys/file.h"

namespace {

using namespace locki;

struct Count {
  std::size_t findings = 0, commits = 0;
};

Result<review::Rules> rules() {
  review::Rules out;
  const std::filesystem::path share = std::filesystem::path(LOCKI_SOURCE_DIR) / "share/review";
  TRY_ASSIGN(const std::string held, sys::read_file(share / "held.rules"));
  TRY_ASSIGN(const std::string ret, sys::read_file(share / "return.rules"));
  TRY_ASSIGN(out.held, review::HoldRules::parse(held));
  TRY_ASSIGN(out.ret, review::ReturnRules::parse(ret));
  return out;
}

Result<> measure(const std::string& path, const std::string& most, bool list) {
  TRY_ASSIGN(const auto known, rules());
  TRY_ASSIGN(const auto program, git::find_git());
  TRY_ASSIGN(const auto repository, git::Repository::discover(program, path));
  TRY_ASSIGN(const std::string out, sys::run_ok(repository.common_command({"rev-list", "--no-merges", "--parents", "--max-count=" + most, "HEAD"})));
  std::map<std::pair<std::string, std::string>, Count> counts;
  std::size_t commits = 0, refused = 0, spoken = 0, refused_but_held = 0;
  for (const std::string& line : split_lines(out)) {
    const auto ids = split(line, ' ');
    if (ids.size() != 2) continue;
    const auto report = review::review_commits(repository, ids[1], ids[0], known);
    if (!report) {
      std::fprintf(stderr, "%s: %s\n", ids[0].c_str(), report.error().describe().c_str());
      continue;
    }
    ++commits;
    std::map<std::pair<std::string, std::string>, std::size_t> here;
    bool high = false, other_high = false;
    for (const auto& finding : report->findings) {
      ++here[{std::string(to_string(finding.severity)), finding.rule}];
      high = high || finding.severity == review::Severity::kHigh;
      other_high = other_high || (finding.severity == review::Severity::kHigh && finding.rule != "held" && finding.rule != "ci");
      if (list) std::printf("%s %s %s %s (%s)\n", ids[0].substr(0, 10).c_str(), to_string(finding.severity).data(), finding.rule.c_str(), printable(finding.path).c_str(), printable(finding.detail, 120).c_str());
    }
    for (const auto& [key, number] : here) {
      counts[key].findings += number;
      ++counts[key].commits;
    }
    refused += high;
    refused_but_held += other_high;
    spoken += !report->findings.empty();
  }
  if (commits == 0) return fail(ErrorKind::kNotFound, "there are no commits to look at");
  const auto per_hundred = [&](std::size_t number) { return 100.0 * static_cast<double>(number) / static_cast<double>(commits); };
  std::printf("%zu commits; per 100: %.1f with a finding, %.1f that merge refuses (%.1f without held files and CI)\n", commits, per_hundred(spoken), per_hundred(refused), per_hundred(refused_but_held));
  std::printf("%-8s %-14s %10s %10s\n", "severity", "rule", "findings", "commits");
  for (const auto& [key, count] : counts) std::printf("%-8s %-14s %10.1f %10.1f\n", key.first.c_str(), key.second.c_str(), per_hundred(count.findings), per_hundred(count.commits));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_review REPOSITORY [MOST [list]]\n");
    return 2;
  }
  const auto done = measure(std::filesystem::absolute(argv[1]), argc > 2 ? argv[2] : "1000000", argc > 3);
  if (!done) std::fprintf(stderr, "%s\n", done.error().describe().c_str());
  return done ? 0 : 1;
}
