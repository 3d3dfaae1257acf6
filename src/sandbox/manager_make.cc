// Manager: making a sandbox: its record, branch and worktree.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/hash.h"
#include "base/strings.h"
#include "git/worktree.h"
#include "sandbox/manager.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

std::string now_text() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

}  // namespace

fs::path Manager::worktree_of(const git::Repository& repository, const std::string& name) const {
  // The main checkout's directory name, and enough of a hash that two checkouts called "app" do not meet.
  fs::path main = repository.common_dir();
  if (main.filename() == ".git") main = main.parent_path();
  const std::string base = main.filename();
  std::string slug;
  for (const char c : base) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    slug += plain ? c : '-';
  }
  return paths_.worktrees() / fmt::format("{}-{}", slug.substr(0, 60), hash_of(repository.common_dir().native()).to_hex().substr(0, 6)) / name;
}
Result<Record> Manager::make(const Where& where, const std::string& from, const ProgressSink& progress) {
  if (where.name.empty()) return fail(ErrorKind::kUsage, "a new sandbox needs a name", "as in: locki new my-feature");
  TRY(check_name(where.name));
  if (const auto why = git::why_bad_branch(where.name)) return fail(ErrorKind::kUsage, *why);
  TRY_ASSIGN(const auto repository, git::Repository::discover(git_, where.cwd));
  TRY_ASSIGN(const bool has_commit, repository.has_commit());
  if (!has_commit) return fail(ErrorKind::kUsage, "this repository has no commit yet", "commit something first: a branch needs a place to begin");

  Record record;
  record.id = RecordStore::id_of(repository.common_dir().native(), where.name);
  const auto held = lock(record.id);
  if (auto existing = records_.load(record.id)) return existing;  // made by another command meanwhile
  const std::scoped_lock one(create_mutex_);
  Phase phase(progress, "worktree", fmt::format("Creating branch and worktree {}", where.name));
  record.name = where.name;
  record.repo = repository.toplevel().native();
  record.git_dir = repository.common_dir().native();
  record.worktree = worktree_of(repository, where.name).native();
  record.instance = instance_name(record.name, record.id);
  TRY_ASSIGN(const auto taken, taken_addresses());
  TRY_ASSIGN(record.address, RecordStore::free_address(record.id, taken));
  record.created = now_text();
  TRY_ASSIGN(const auto existing_tip, repository.ref("refs/heads/" + where.name));
  record.made_branch = !existing_tip.has_value();
  if (existing_tip && !from.empty()) {
    return fail(ErrorKind::kExists, fmt::format("the branch {} exists already; --from is for new ones", where.name), "leave --from out to go on with the branch");
  }
  if (existing_tip) {
    record.base = *existing_tip;
  } else {
    TRY_ASSIGN(record.base, from.empty() ? repository.default_base() : repository.resolve(from));
  }
  TRY_ASSIGN(auto upstream, repository.current_branch());
  record.upstream_of = upstream.value_or("");
  TRY(records_.save(record));
  auto added = [&]() -> Result<> {
    TRY(sys::make_directories(fs::path(record.worktree).parent_path()));
    return git::add_worktree(repository, {.path = record.worktree, .branch = record.name, .from = record.made_branch ? record.base : ""});
  }();
  if (!added) {
    (void)records_.remove(record.id);
    return fail(std::move(added).error().with_context(fmt::format("while creating the worktree of {}", record.name)));
  }
  audit_.write("created", record, {{"base", record.base}});
  return record;
}

Result<Record> Manager::find_or_create(const OpenRequest& request, const ProgressSink& progress) {
  auto found = find(request.where);
  if (found || found.error().kind() != ErrorKind::kNotFound || !request.create) return found;
  return make(request.where, request.from, progress);
}

Result<Record> Manager::create(const Where& where, const std::string& from, const ProgressSink& progress) {
  // One that never came up is what an interrupted `new` left: this one goes on with it.
  if (auto found = where.name.empty() ? fail(ErrorKind::kNotFound, "") : find(where); found && !found->incarnation.empty()) {
    return fail(ErrorKind::kExists, fmt::format("the sandbox {} exists already", printable(where.name)), "enter it: locki x " + printable(where.name));
  }
  TRY_ASSIGN(Record record, make(where, from, progress));
  const std::shared_lock awake(life_);
  TRY_ASSIGN(const auto held, hold(record));
  TRY(bring_up(record, progress));
  return record;
}
}  // namespace locki::sandbox
