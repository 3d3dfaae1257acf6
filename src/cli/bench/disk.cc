#include "cli/bench/disk.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cli/bench/bench.h"
#include "cli/bench/inside.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::cli {
namespace {

// Commits that git fast-import takes. Without deltas, as between files of different names.
constexpr std::string_view kGenerate =
    "git init -q --template= .; awk -v dirs={} -v files={} '"
    "BEGIN {{ for (i = 0; i < 15; i++) pad = pad \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\\n\";"
    " print \"commit refs/heads/bench\\ncommitter locki <bench@localhost> 0 +0000\\ndata 0\\n\";"
    " for (d = 0; d < dirs; d++) for (f = 0; f < files; f++) {{ text = d \" \" f \"\\n\" pad;"
    " printf \"M 100644 inline %d/%d\\ndata %d\\n%s\\n\", d, f, length(text), text }} }}' | git fast-import --quiet --depth=0; "
    "git symbolic-ref HEAD refs/heads/bench";

std::string counted_by_thousands(int count) { return count < 1000 ? std::to_string(count) : fmt::format("{},{:03}", count / 1000, count % 1000); }

}  // namespace

DiskJob checkout_job(int directories, int files) {
  return {.name = "checkout",
          .meaning = fmt::format("git checkout of {} files", counted_by_thousands(directories * files)),
          // The user's own configuration (line ends, hooks, file system monitor) would make it another work here than inside.
          .once = "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1; " + fmt::format(kGenerate, directories, files),
          .each = "rm -f .git/index; find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +",
          .work = "git checkout -q -f",
          .rounds = 1};
}

std::vector<DiskJob> disk_jobs() {
  return {
      {"small-files", "2,000 small files made and synced", "true", "mkdir $r", "i=0; while [ $i -lt 2000 ]; do echo $i >$r/$i; i=$((i + 1)); done; sync -f ."},
      {"write", "256 MiB written and synced", "true", "rm -f big", "dd if=/dev/zero of=big bs=1M count=256 conv=fsync status=none"},
      {"read", "256 MiB read, not cached", "dd if=/dev/zero of=big bs=1M count=256 conv=fsync status=none", "dd of=big oflag=nocache conv=notrunc,fdatasync count=0 status=none",
       "dd if=big of=/dev/null bs=1M status=none"},
      {"git-status", "git status of 20,000 files", "git init -q .; for i in $(seq 200); do mkdir $i; for j in $(seq 100); do echo $j >$i/$j; done; done; git add -A; git status >/dev/null",
       "true", "git status >/dev/null"},
      // More than a minute inside under emulation.
      checkout_job(500, 100),
  };
}

std::string disk_script(const DiskJob& job, const std::string& parent) {
  std::string script = fmt::format("set -e; d=$(mktemp -d '{}/locki-bench.XXXXXX'); ", parent.empty() ? "/var/tmp" : parent);
  if (parent.empty()) script += "trap 'cd /; rm -rf \"$d\"' EXIT; ";
  script += "cd \"$d\"; " + job.once + "; r=0; ";
  script += fmt::format("while [ $r -lt {} ]; do r=$((r + 1)); ", job.rounds);
  script += job.each + "; s=$(date +%s%N); " + job.work + "; e=$(date +%s%N); echo $((e - s)); done";
  return script;
}

Result<std::vector<double>> disk_samples(const DiskJob& job, std::string_view said) {
  std::vector<double> samples;
  for (const auto& line : split_lines(said)) {
    const auto nanoseconds = parse_u64(line);
    if (!nanoseconds) return fail(ErrorKind::kFailed, "a measuring script said: " + printable(line, 100));
    samples.push_back(static_cast<double>(*nanoseconds) / 1e9);
  }
  if (samples.size() != static_cast<std::size_t>(job.rounds)) return fail(ErrorKind::kFailed, fmt::format("a measuring script said {} lines instead of {}", samples.size(), job.rounds));
  return samples;
}

Result<> measure_disk(Bench& bench, const OpenedSandbox& sandbox) {
  Context& context = bench.context();
  // Nothing is deleted here before all is measured: an ext4 without a journal takes ten times as long and more for new files while the inodes of thousands
  // that were just deleted are not to be used again.
  TRY_ASSIGN(const auto here, sys::TemporaryDirectory::make("/var/tmp", "locki-bench"));
  for (const auto& job : disk_jobs()) {
    context.note(fmt::format("  {}, inside and on this host", job.meaning));
    TRY_ASSIGN(const std::string in, run_inside(context, sandbox, {"/bin/sh", "-c", disk_script(job)}));
    TRY_ASSIGN(const std::string out, sys::run_ok({.program = "/bin/sh", .args = {"-c", disk_script(job, here.path().native())}, .environment = context.environment}, {}, {.timeout = std::chrono::minutes(10)}));
    for (const auto& [where, text] : {std::pair{"disk", &in}, {"host", &out}}) {
      TRY_ASSIGN(auto samples, disk_samples(job, *text));
      bench.add({fmt::format("{}:{}", where, job.name), fmt::format("{}, {}", job.meaning, text == &in ? "inside" : "on this host"), std::move(samples)});
    }
  }
  return {};
}

}  // namespace locki::cli
