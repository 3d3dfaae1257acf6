#include "mirror/git_link.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/log.h"
#include "git/shallow.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::chrono::seconds kRetry{3};

std::string sanitized(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    out += plain ? c : '-';
  }
  return out.empty() ? "sandbox" : out;
}

std::string short_id(const std::string& oid) { return oid.substr(0, 12); }

}  // namespace

TipStep decide_tips(const Tips& tips) {
  if (tips.host.empty()) return TipStep::kHostGone;
  if (tips.host == tips.sandbox) return tips.base == tips.host ? TipStep::kNothing : TipStep::kAgree;
  if (tips.sandbox.empty() || tips.sandbox == tips.base) return TipStep::kSend;
  // What was refused stays inside until the host's branch moves, and then the host's stands.
  if (tips.sandbox == tips.refused) return tips.host == tips.base ? TipStep::kNothing : TipStep::kSend;
  return TipStep::kFetch;
}

GitLink::GitLink(git::Repository repository, const StartSettings& settings, DoorLimits limits, Context context)
    : repository_(std::move(repository)),
      branch_(settings.branch),
      sandbox_name_(sanitized(settings.sandbox)),
      worktree_(settings.worktree),
      behind_file_(std::filesystem::path(settings.state) / "index-behind"),
      boundary_file_(std::filesystem::path(settings.state) / kBoundaryFile),
      limits_(limits),
      context_(std::move(context)) {}

std::string GitLink::kept_ref(std::string_view what, const std::string& oid) const {
  return "refs/locki/" + sandbox_name_ + "/" + std::string(what) + "-" + short_id(oid);
}

Result<> GitLink::start() {
  TRY(look(true));
  take_up_behind();
  return {};
}

Result<> GitLink::note_behind() const {
  if (!index_behind_) return sys::remove_tree(behind_file_);
  return sys::write_file(behind_file_, index_behind_->first + " " + index_behind_->second + "\n", 0600);
}

void GitLink::take_up_behind() {
  const auto text = sys::read_file(behind_file_, 1024);
  if (!text) return;
  const auto words = split(trim(*text), ' ');
  const bool ours = words.size() == 2 && git::is_object_id(words[0]) && words[1] == host_;
  // Else the ref did not move after all, or the human has moved it since.
  if (ours) index_behind_ = {words[0], words[1]};
  else caught_up();
}

void GitLink::caught_up() {
  index_behind_.reset();
  if (auto noted = note_behind(); !noted) log::warning("{}", noted.error().describe());
}

void GitLink::head(const wire::Head& head) {
  far_ = head.oid;
  far_known_ = true;
}

bool GitLink::has_commit(const git::ObjectId& oid) const {
  const auto type = sys::run(repository_.common_command({"cat-file", "-t", oid}));
  return type && type->exit.ok() && trim(type->out) == "commit";
}

Result<std::string> GitLink::file_in(const git::ObjectId& commit, const std::string& path, const Hash& content, std::size_t limit) const {
  if (!commit.empty()) {
    TRY_ASSIGN(auto bytes, repository_.file_at(commit, path, limit));
    if (bytes && hash_of(*bytes) == content) return std::move(*bytes);
  }
  return fail(ErrorKind::kNotFound, "no commit has '" + printable(path) + "' as it was agreed on");
}

bool GitLink::fell_back(const std::string& tip) const {
  const std::string& agreed = context_.base->tip();
  if (tip.empty() || agreed.empty() || tip == agreed) return false;
  const TipVersions& tips = context_.base->trail().tips();
  if (!tips.items().empty())
    if (const auto found = tips.find(tip)) return *found < tips.agreed();
  return has_commit(tip) && repository_.is_ancestor(tip, agreed).value_or(false);
}

Result<FallenTip> GitLink::fallen(const Doubts& doubts) const {
  FallenTip out{.base = context_.base->tip()};
  const bool far = doubts.sandbox && far_known_ && fell_back(far_);
  const bool host = doubts.host && fell_back(host_);
  if (!far && !host) return out;
  // Both: the one that is further back is the one that nothing happened to since.
  const bool host_is_older = host && (!far || repository_.is_ancestor(host_, far_).value_or(false));
  const std::string newest = out.base;
  out.base = host_is_older ? host_ : far_;
  out.host = host_is_older;
  const auto count = sys::run(repository_.common_command({"rev-list", "--count", newest, "^" + out.base}));
  if (count && count->exit.ok()) out.commits = parse_u64(trim(count->out)).value_or(0);
  return out;
}

// The files a ref can live in (refs/files-backend.c, reftable): their stat tells whether git has to be asked.
std::string GitLink::signature() const {
  std::string out;
  for (const auto& path :
       {repository_.common_dir() / "refs" / "heads" / branch_, repository_.common_dir() / "packed-refs",
        repository_.common_dir() / "reftable" / "tables.list"}) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) st = {};
    out += std::to_string(st.st_ino) + ":" + std::to_string(st.st_size) + ":" + std::to_string(st.st_mtim.tv_sec) +
           "." + std::to_string(st.st_mtim.tv_nsec) + ";";
  }
  return out;
}

Result<> GitLink::look(bool always) {
  std::string now = signature();
  if (!always && now == signature_) return {};
  TRY_ASSIGN(const auto tip, repository_.ref(ref()));
  signature_ = std::move(now);
  host_ = tip.value_or("");
  if (!host_.empty()) told_gone_.clear();
  return {};
}

bool GitLink::settled() const {
  if (fetch_id_ != 0 || send_id_ != 0 || index_behind_ || !far_known_) return false;
  const TipStep step = decide_tips({context_.base->tip(), host_, far_, refused_});
  return step == TipStep::kNothing || step == TipStep::kHostGone;
}

Result<> GitLink::step() {
  if (!far_known_ || fetch_id_ != 0 || send_id_ != 0 || Clock::now() < retry_at_) return {};
  if (index_behind_) follow();
  switch (decide_tips({context_.base->tip(), host_, far_, refused_})) {
    case TipStep::kNothing:
      return {};
    case TipStep::kAgree:
      return context_.base->set_tip(host_);
    case TipStep::kSend:
      return begin_send();
    case TipStep::kFetch:
      return begin_fetch();
    case TipStep::kHostGone:
      if (told_gone_.empty())
        context_.tell(
            {"problem", "", "", "the branch '" + branch_ + "' is gone on the host: commits stay where they are"});
      told_gone_ = "told";
      return {};
  }
  return {};
}

Result<> GitLink::begin_send() {
  std::vector<std::string> haves;
  if (!far_.empty()) haves.push_back(far_);
  // What the sandbox once had it still has, unless it is a new one: then it has no tip.
  if (!far_.empty() && !context_.base->tip().empty()) haves.push_back(context_.base->tip());
  // One that has nothing (a repository made anew inside) does not know of the boundary: it gets everything.
  std::vector<git::ObjectId> boundary;
  if (!far_.empty()) {
    TRY_ASSIGN(boundary, git::read_boundary(boundary_file_));
  }
  TRY_ASSIGN(const std::string revisions, git::pack_revisions(repository_, host_, haves, boundary));
  TRY_ASSIGN(sys::Pipe in, sys::make_pipe());
  TRY_ASSIGN(sys::Pipe out, sys::make_pipe());
  auto spec = git::pack_command(repository_, out.write.get());
  spec.in = in.read.get();
  spec.parent_death_signal = SIGKILL;
  TRY_ASSIGN(packer_, sys::spawn(spec));
  in.read.reset();
  // It reads all of them before it writes.
  TRY(sys::write_all(in.write.get(), revisions));
  TRY(sys::set_nonblocking(out.read.get(), true));
  pack_out_ = std::move(out.read);
  send_id_ = ++*context_.last_id;
  sent_tip_ = host_;
  sent_over_ = far_;
  sending_ = true;
  TRY(context_.base->intend_tip(host_));
  context_.door->expect_done(send_id_);
  context_.stream->send(wire::GitPack{send_id_, host_, far_});
  return {};
}

Result<> GitLink::pump() {
  std::array<std::uint8_t, wire::kMaxData> buffer;
  while (sending_ && stream_wants()) {
    const ssize_t n = ::read(pack_out_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return fail_errno(errno, "cannot read a pack");
    if (n > 0) {
      context_.stream->send(wire::Data{send_id_, false, false,
                                       std::string(as_text(ByteView(buffer.data(), static_cast<std::size_t>(n))))});
      continue;
    }
    TRY_ASSIGN(const sys::Exit exit, packer_.wait());
    pack_out_.reset();
    sending_ = false;
    if (!exit.ok()) {
      retry_at_ = Clock::now() + kRetry;
      context_.tell({"problem", "", host_, "git cannot pack the branch: pack-objects " + exit.describe()});
    }
    context_.stream->send(wire::Data{send_id_, exit.ok(), !exit.ok(), ""});
  }
  return {};
}

Result<> GitLink::done(const wire::Done& done) {
  if (done.id == fetch_id_) {
    // The sandbox cannot give what it has (the agent deleted objects, or moved on): its next Head tells.
    fetch_id_ = 0;
    quarantine_.reset();
    retry_at_ = Clock::now() + kRetry;
    context_.tell({"problem", "", fetching_, "the sandbox could not send its commits: " + printable(done.message)});
    return {};
  }
  send_id_ = 0;
  if (done.status == wire::DoneStatus::kOk) {
    sys::fault_point("commit.sent");
    // What the far end said of its branch meanwhile is newer: the agent may have committed on top before this answer was on its way.
    if (far_ == sent_over_) far_ = sent_tip_;
    refused_.clear();
    TRY(context_.base->set_tip(sent_tip_));
    context_.tell({"commit_in", "", sent_tip_, ""});
  } else {
    retry_at_ = Clock::now() + kRetry;
    if (done.status == wire::DoneStatus::kFailed) {
      context_.tell(
          {"problem", "", sent_tip_, "the sandbox could not take the commits of the host: " + printable(done.message)});
    }
  }
  return {};
}

Result<> GitLink::begin_fetch() {
  git::AcceptLimits accept;
  accept.max_pack = limits_.max_pack;
  accept.max_file = limits_.max_file;
  TRY_ASSIGN(quarantine_, git::Quarantine::begin(repository_, accept));
  fetch_id_ = ++*context_.last_id;
  fetching_ = far_;
  std::vector<std::string> haves{host_};
  if (!context_.base->tip().empty() && context_.base->tip() != host_) haves.push_back(context_.base->tip());
  context_.door->expect_pack(fetch_id_);
  context_.stream->send(wire::GitFetch{fetch_id_, {far_}, std::move(haves)});
  return {};
}

Result<> GitLink::pack(const wire::Pack& pack) {
  if (pack.oid != fetching_) return fail(ErrorKind::kProtocol, "a pack for another commit than was asked for");
  return {};
}

Result<> GitLink::data(const wire::Data& data) {
  if (data.failed) {
    fetch_id_ = 0;
    quarantine_.reset();
    retry_at_ = Clock::now() + kRetry;
    return {};
  }
  if (quarantine_) {
    if (auto written = quarantine_->write(as_bytes(data.bytes)); !written) {
      refuse(written.error());
      quarantine_.reset();
    }
  }
  if (!data.last) return {};
  fetch_id_ = 0;
  if (!quarantine_) return {};
  auto accepted = accept();
  quarantine_.reset();
  if (accepted) return {};
  if (accepted.error().kind() == ErrorKind::kProtocol || accepted.error().kind() == ErrorKind::kNoSpace) {
    refuse(accepted.error());
  } else if (accepted.error().kind() != ErrorKind::kConflict) {
    retry_at_ = Clock::now() + kRetry;
    context_.tell({"problem", "", fetching_, accepted.error().describe()});
  }
  return look(true);
}

void GitLink::refuse(const Error& error) {
  refused_ = fetching_;
  context_.tell({"rejected", "", fetching_, error.describe()});
  context_.stream->send(
      wire::Note{"locki: the host refused commit " + short_id(fetching_) + ": " + printable(error.describe(), 1000)});
}

Result<> GitLink::accept() {
  TRY(look(true));
  if (host_.empty()) return {};
  TRY(quarantine_->check(fetching_, host_));
  sys::fault_point("commit.checked");
  TRY(quarantine_->migrate());
  sys::fault_point("commit.migrated");
  return accept_checked(fetching_);
}

// The commit is sound and in the repository; no ref has moved yet.
Result<> GitLink::accept_checked(const std::string& tip) {
  const std::string base = context_.base->tip();
  TRY_ASSIGN(const bool forward, repository_.is_ancestor(host_, tip));
  if (!forward && host_ != base) {
    TRY_ASSIGN(const bool behind, repository_.is_ancestor(tip, host_));
    if (!behind) {
      // Both committed: the human's branch stands, the agent's work is kept under a name.
      const std::string kept = kept_ref("diverged", tip);
      TRY_ASSIGN(const auto there, repository_.ref(kept));
      if (!there) TRY(git::move_ref(repository_, kept, tip, "", "locki: commits from inside, beside the host's"));
      sys::fault_point("commit.diverged");
      context_.tell({"diverged", kept, tip, "both sides committed: the branch stays as it is on the host"});
      context_.stream->send(
          wire::Note{"locki: the user has committed meanwhile; the branch is now the user's. Your tip was " +
                     short_id(tip) + ": rebase or cherry-pick it onto " + branch_ + "."});
    }
    // The host's goes in; for the next step the sandbox has moved nowhere.
    refused_ = tip;
    return {};
  }
  if (!forward) {
    const std::string kept = kept_ref("rewritten", host_);
    TRY_ASSIGN(const auto there, repository_.ref(kept));
    if (!there) TRY(git::move_ref(repository_, kept, host_, "", "locki: before history was rewritten inside"));
    sys::fault_point("commit.rewritten");
  }
  const std::string from = host_;
  const auto behind = std::exchange(index_behind_, {{index_behind_ ? index_behind_->first : from, tip}});
  TRY(note_behind());
  TRY(context_.base->intend_tip(tip));
  auto moved = git::move_ref(repository_, ref(), tip, from, forward ? "locki: commits from inside" : "locki: rewritten inside");
  if (!moved) {
    index_behind_ = behind;
    TRY(note_behind());
    return moved;
  }
  sys::fault_point("commit.moved");
  TRY(look(true));
  TRY(context_.base->set_tip(tip));
  sys::fault_point("commit.agreed");
  follow();
  context_.tell({"commit", forward ? "" : kept_ref("rewritten", from), tip, ""});
  return {};
}

void GitLink::follow() {
  const auto there = git::Repository::discover(repository_.program(), worktree_);
  const auto branch = there ? there->current_branch() : Result<std::optional<std::string>>(fail(Error(there.error())));
  // The human has switched the worktree to something else: its index is none of the branch's business.
  if (branch && *branch != branch_) return caught_up();
  const auto followed = git::follow_index(repository_, worktree_, index_behind_->first, index_behind_->second);
  sys::fault_point("commit.followed");
  ++index_moves_;
  if (followed) return caught_up();
  // Somebody holds index.lock: again in a moment.
  log::warning("{}", followed.error().describe());
  retry_at_ = Clock::now() + std::chrono::milliseconds(500);
}

}  // namespace locki::mirror
