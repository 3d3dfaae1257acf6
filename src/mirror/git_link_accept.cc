// Commits from inside on their way to the host's branch.
#include <utility>

#include "base/log.h"
#include "mirror/git_link.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {

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
    trouble_.fails(fetching_, "commit " + fetching_ + " cannot come out: the sandbox gave up sending it");
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
  auto sound = check_pack();
  quarantine_.reset();
  if (sound) {
    checked_ = fetching_;
    take_checked();
  } else if (sound.error().kind() == ErrorKind::kProtocol || sound.error().kind() == ErrorKind::kNoSpace) {
    refuse(sound.error());
  } else {
    trouble_.fails(fetching_, "commit " + fetching_ + " cannot be taken over: " + sound.error().describe());
  }
  return look(true);
}

void GitLink::refuse(const Error& error) {
  refused_ = fetching_;
  trouble_.over();
  context_.tell({"rejected", "", fetching_, error.describe()});
  note("locki: the host refused commit " + fetching_.substr(0, 12) + ": " + printable(error.describe(), 1000));
}

Result<> GitLink::check_pack() {
  TRY(look(true));
  TRY(quarantine_->check(fetching_, host_));
  sys::fault_point("commit.checked");
  TRY(quarantine_->migrate());
  sys::fault_point("commit.migrated");
  return {};
}

// checked_ is taken, or kept for another try while somebody is in the way, or dropped.
void GitLink::take_checked() {
  const std::string tip = checked_;
  const auto taken = accept_checked(tip);
  if (taken && !*taken) return;
  if (!taken && taken.error().kind() == ErrorKind::kUnavailable) return trouble_.waits(tip, taken.error().describe());
  checked_.clear();
  if (taken) return trouble_.over();
  // The host's branch has moved in this very moment: decided anew.
  if (taken.error().kind() != ErrorKind::kConflict)
    trouble_.fails(tip, "commit " + tip + " cannot be taken over: " + taken.error().describe());
}

// The commit is sound and in the repository; no ref has moved yet. False: its files are still on their way.
Result<bool> GitLink::accept_checked(const std::string& tip) {
  TRY(look(true));
  if (host_.empty() || host_ == tip) return true;
  const std::string base = context_.base->tip();
  TRY_ASSIGN(const bool forward, repository_.is_ancestor(host_, tip));
  if (!forward && host_ != base) {
    TRY_ASSIGN(const bool behind, repository_.is_ancestor(tip, host_));
    const bool tried = base.empty() || (clashed_host_ == host_ && clashed_far_ == tip);
    // The host's goes in, and the agent's is put on top of it there, if it can be.
    if (!behind && !tried) return true;
    if (!behind) TRY(set_aside(tip));
    // For the next step the sandbox has moved nowhere.
    refused_ = tip;
    return true;
  }
  if (!arrived(host_, tip)) return false;
  TRY(move_to(tip, forward));
  return true;
}

// Both committed, and it does not go together: the human's branch stands, the agent's work is kept under a name.
Result<> GitLink::set_aside(const std::string& tip) {
  const std::string kept = kept_ref("diverged", tip), base = context_.base->tip();
  TRY_ASSIGN(const auto there, repository_.ref(kept));
  if (!there) TRY(git::move_ref(repository_, kept, tip, "", "locki: commits from inside, beside the host's"));
  sys::fault_point("commit.diverged");
  const std::string why = clash_.empty() ? "the two have nothing in common" : clash_;
  const auto take_up = [&](const std::string& what) { return "git cherry-pick " + (base.empty() ? what : base.substr(0, 12) + ".." + what); };
  context_.tell({"diverged", kept, tip, "both sides committed: the branch stays as it is on the host (" + why + "). To take the agent's up: " + take_up(kept)});
  note("locki: the user has committed meanwhile, and your commits do not go on top of that (" + why + "). The branch is now the user's; yours are kept. To take them up: " +
       take_up(tip.substr(0, 12)) + ", or git rebase --onto " + branch_ + (base.empty() ? "" : " " + base.substr(0, 12)) + " " + tip.substr(0, 12));
  return {};
}

Result<> GitLink::move_to(const std::string& tip, bool forward) {
  if (!forward) {
    const std::string kept = kept_ref("rewritten", host_);
    TRY_ASSIGN(const auto there, repository_.ref(kept));
    if (!there) TRY(git::move_ref(repository_, kept, host_, "", "locki: before history was rewritten inside"));
    sys::fault_point("commit.rewritten");
  }
  const std::string from = host_;
  const auto behind = index_behind_;
  const std::string index_at = behind ? behind->first : from;
  const BranchMove::Hooks hooks{.note = [&]() -> Result<> {
                                  index_behind_ = {index_at, tip};
                                  return note_behind();
                                },
                                .move = [&]() -> Result<> {
                                  TRY(git::move_ref(repository_, ref(), tip, from, forward ? "locki: commits from inside" : "locki: rewritten inside"));
                                  sys::fault_point("commit.moved");
                                  return {};
                                }};
  TRY(context_.base->intend_tip(tip));
  const auto moved = mover_.move(index_at, tip, hooks);
  if (!moved) {
    index_behind_ = behind;
    TRY(note_behind());
    return fail(Error(moved.error()));
  }
  ++index_moves_;
  TRY(look(true));
  // git has written the ref down, but not that it has this name now.
  const auto ref_file = repository_.common_dir() / ref();
  if (std::filesystem::exists(ref_file)) TRY(sys::sync_directory(ref_file.parent_path()));
  TRY(context_.base->set_tip(tip));
  sys::fault_point("commit.agreed");
  if (!moved->behind) caught_up();
  sys::fault_point("commit.followed");
  context_.tell({"commit", forward ? "" : kept_ref("rewritten", from), tip, ""});
  if (!moved->lost.empty()) context_.tell({"problem", "", tip, moved->lost});
  return {};
}

// ---- an index that is behind ----

Result<> GitLink::note_behind() const {
  if (!index_behind_) return sys::remove_tree(behind_file_);
  return sys::write_file(behind_file_, index_behind_->first + " " + index_behind_->second + "\n", 0600);
}

void GitLink::take_up_behind() {
  const auto text = sys::read_file(behind_file_, 1024);
  const auto words = text ? split(trim(*text), ' ') : std::vector<std::string>{};
  const bool moved = words.size() == 2 && git::is_object_id(words[0]) && words[1] == host_;
  mover_.take_over(moved);
  if (!text) return;
  // Else the ref did not move after all, or the human has moved it since.
  if (moved) index_behind_ = {words[0], words[1]};
  else caught_up();
}

void GitLink::caught_up() {
  index_behind_.reset();
  if (auto noted = note_behind(); !noted) log::warning("{}", noted.error().describe());
}

void GitLink::follow() {
  const auto followed = mover_.follow(index_behind_->first, index_behind_->second);
  if (followed && !followed->behind) {
    ++index_moves_;
    caught_up();
    trouble_.over();
    return;
  }
  trouble_.waits(index_behind_->second, followed ? "the index does not follow" : "the index does not follow: " + followed.error().describe());
}

}  // namespace locki::mirror
