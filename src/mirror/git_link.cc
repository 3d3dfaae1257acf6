#include "mirror/git_link.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "git/shallow.h"
#include "sys/fault.h"

namespace locki::mirror {
namespace {

constexpr std::chrono::seconds kFilesWait{3};  // for the files of new commits, which usually are there first
constexpr std::uint32_t kMostSaid = 1'000'000;

std::string sanitized(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    out += plain ? c : '-';
  }
  return out.empty() ? "sandbox" : out;
}

BranchMove mover_for(const git::Repository& repository, const StartSettings& settings) {
  const git::Program program = repository.program();
  auto command = [program, worktree = settings.worktree](std::vector<std::string> args) {
    return git::command(program, git::Config::kUser, worktree, std::move(args));
  };
  return BranchMove(std::move(command), repository.git_dir(), settings.branch);
}

}  // namespace

TipStep decide_tips(const Tips& tips) {
  if (tips.host.empty()) return TipStep::kHostGone;
  if (tips.host == tips.sandbox) return tips.base == tips.host ? TipStep::kNothing : TipStep::kAgree;
  if (tips.sandbox.empty()) return TipStep::kReplace;
  if (tips.sandbox == tips.base) return TipStep::kSend;
  // What was refused stays inside until the host's branch moves, and then the host's stands.
  if (tips.sandbox == tips.refused) return tips.host == tips.base ? TipStep::kNothing : TipStep::kReplace;
  const bool both = tips.host != tips.base && !tips.base.empty();
  return both && tips.sandbox != tips.clashed ? TipStep::kSend : TipStep::kFetch;
}

GitLink::GitLink(git::Repository repository, const StartSettings& settings, DoorLimits limits, Context context)
    : repository_(std::move(repository)),
      branch_(settings.branch),
      sandbox_name_(sanitized(settings.sandbox)),
      behind_file_(std::filesystem::path(settings.state) / "index-behind"),
      boundary_file_(std::filesystem::path(settings.state) / kBoundaryFile),
      limits_(limits),
      context_(std::move(context)),
      mover_(mover_for(repository_, settings)),
      trouble_(context_.tell) {}

std::string GitLink::kept_ref(std::string_view what, const std::string& oid) const {
  return "refs/locki/" + sandbox_name_ + "/" + std::string(what) + "-" + oid.substr(0, 12);
}

void GitLink::note(const std::string& text) { context_.stream->send(wire::Note{text.substr(0, wire::kMaxText)}); }

Result<> GitLink::start() {
  TRY(look(true));
  take_up_behind();
  return {};
}

void GitLink::head(const wire::Head& head) {
  if (far_ != head.oid) trouble_.hurry();
  far_ = head.oid;
  far_known_ = head_heard_ = true;
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
  if (host_ != tip.value_or("")) trouble_.hurry();
  host_ = tip.value_or("");
  if (!host_.empty()) told_gone_.clear();
  return {};
}

Tips GitLink::tips() const { return {context_.base->tip(), host_, far_, refused_, host_ == clashed_host_ ? clashed_far_ : ""}; }

bool GitLink::settled() const {
  if (fetch_id_ != 0 || send_id_ != 0 || index_behind_ || !far_known_ || !checked_.empty()) return false;
  const TipStep step = decide_tips(tips());
  return step == TipStep::kNothing || step == TipStep::kHostGone;
}

// The files that differ between two commits are on both sides, or have been waited for.
bool GitLink::arrived(const std::string& from, const std::string& to) {
  if (!context_.carried || from.empty()) return true;
  if (!arrival_ || arrival_->from != from || arrival_->to != to) {
    arrival_ = Arrival{from, to, {}, Clock::now() + kFilesWait};
    const auto names = sys::run_ok(repository_.common_command({"diff-tree", "-r", "--no-renames", "--name-only", "-z", from, to, "--"}));
    if (names) arrival_->paths = split(*names, '\0');
    std::erase(arrival_->paths, "");
  }
  return Clock::now() >= arrival_->until || context_.carried(arrival_->paths);
}

Result<> GitLink::step() {
  if (!far_known_ || fetch_id_ != 0 || send_id_ != 0 || !trouble_.may_try()) return {};
  trouble_.attempt();
  if (index_behind_) follow();
  if (index_behind_) return {};
  if (checked_ != far_) checked_.clear();
  if (!checked_.empty()) {
    take_checked();
    if (!checked_.empty()) return {};
  }
  auto begun = Result<>();
  switch (const TipStep step = decide_tips(tips())) {
    case TipStep::kNothing:
      trouble_.over();
      return {};
    case TipStep::kAgree:
      trouble_.over();
      return context_.base->set_tip(host_);
    case TipStep::kSend:
    case TipStep::kReplace:
      if (arrived(context_.base->tip(), host_)) begun = begin_send(step == TipStep::kReplace);
      break;
    case TipStep::kFetch:
      begun = begin_fetch();
      break;
    case TipStep::kHostGone:
      if (told_gone_.empty())
        context_.tell(
            {"problem", "", "", "the branch '" + branch_ + "' is gone on the host: commits stay where they are"});
      told_gone_ = "told";
      return {};
  }
  if (!begun) trouble_.fails(host_, begun.error().describe());
  return {};
}

// ---- in ----

Result<> GitLink::begin_send(bool replace) {
  pack_failure_.clear();
  // What the far end has stored already is not sent again.
  if (stored_inside_ != host_) TRY(start_packing());
  send_id_ = ++*context_.last_id;
  sent_tip_ = host_;
  head_heard_ = false;
  replacing_ = replace;
  TRY(context_.base->intend_tip(host_));
  context_.door->expect_done(send_id_);
  context_.stream->send(wire::GitPack{send_id_, host_, far_, replace ? "" : context_.base->tip()});
  if (stored_inside_ == host_) context_.stream->send(wire::Data{send_id_, true, false, ""});
  else sending_ = true;
  return {};
}

Result<> GitLink::start_packing() {
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
  packer_words_ = sys::make_words();
  auto spec = git::pack_command(repository_, out.write.get());
  spec.in = in.read.get();
  spec.err = packer_words_.get();
  spec.parent_death_signal = SIGKILL;
  TRY_ASSIGN(packer_, sys::spawn(spec));
  in.read.reset();
  // It reads all of them before it writes.
  TRY(sys::write_all(in.write.get(), revisions));
  TRY(sys::set_nonblocking(out.read.get(), true));
  pack_out_ = std::move(out.read);
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
    if (!exit.ok()) pack_failure_ = "git cannot pack commit " + sent_tip_ + ": pack-objects " + exit.describe() + ": " + sys::read_words(packer_words_);
    context_.stream->send(wire::Data{send_id_, exit.ok(), !exit.ok(), ""});
  }
  return {};
}

Result<> GitLink::done(const wire::Done& done) {
  if (done.id == fetch_id_) {
    fetch_id_ = 0;
    quarantine_.reset();
    trouble_.fails(fetching_, "commit " + fetching_ + " cannot come out: inside, " + printable(done.message, 1000));
    return {};
  }
  // An answer before the pack was whole.
  if (std::exchange(sending_, false)) {
    pack_out_.reset();
    packer_ = {};
    context_.stream->send(wire::Data{send_id_, false, true, ""});
  }
  send_id_ = 0;
  if (!pack_failure_.empty()) {
    trouble_.fails(sent_tip_, pack_failure_);
    return {};
  }
  stored_inside_.clear();
  const std::string words = printable(done.message, 1000);
  switch (done.status) {
    case wire::DoneStatus::kOk:
      return sent(done);
    case wire::DoneStatus::kConflict:
      trouble_.waits(sent_tip_, "inside, " + words);
      return {};
    case wire::DoneStatus::kWaiting:
      stored_inside_ = sent_tip_;
      trouble_.waits(sent_tip_, "inside, " + words);
      return {};
    case wire::DoneStatus::kClash:
      // Where it has nothing of its own, nothing can clash.
      if (!replacing_ && far_ != context_.base->tip()) return clash(done), Result<>{};
      [[fallthrough]];
    case wire::DoneStatus::kFailed:
      trouble_.fails(sent_tip_, "the sandbox could not take commit " + sent_tip_ + ": " + words);
      return {};
  }
  return {};
}

Result<> GitLink::sent(const wire::Done& done) {
  sys::fault_point("commit.sent");
  trouble_.over();
  // The far end says where its branch is before it answers: the agent may have committed on top already. Else, where commits were put on top
  // of this one, nobody knows.
  if (!head_heard_) {
    if (done.replayed > 0) far_known_ = false;
    else far_ = sent_tip_;
  }
  refused_.clear();
  TRY(context_.base->set_tip(sent_tip_));
  context_.tell({"commit_in", "", sent_tip_, ""});
  if (done.replayed == 0) return {};
  const auto count = std::min(done.replayed, kMostSaid);
  const std::string commits = count == 1 ? "1 commit" : std::to_string(count) + " commits";
  context_.tell({"replayed", "", sent_tip_, commits + " from inside " + (count == 1 ? "was" : "were") + " put on top of the user's"});
  note("locki: the user has committed meanwhile; " + commits + " of yours " + (count == 1 ? "was" : "were") + " put on top of that, with new ids.");
  return {};
}

// What the sandbox has comes out, is kept under a name, and only then the host's stands there (accept_checked()).
void GitLink::clash(const wire::Done& done) {
  stored_inside_ = sent_tip_;
  clashed_host_ = sent_tip_;
  clashed_far_ = far_;
  clash_ = printable(done.message, 500);
}

}  // namespace locki::mirror
