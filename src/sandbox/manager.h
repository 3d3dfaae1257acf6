// The use cases, as the daemon offers them. Thread-safe: each call may come from its own thread. One sandbox is changed by one call at
// a time, the machine likewise; calls for different sandboxes run side by side. Long work reports progress and never prints. Its parts
// are in manager_make.cc (record, branch, worktree), _open (bringing up), _pool (spare containers), _history (shared histories), _list, _remove, _review, _findings, _branches,
// _network and _machine; manager.cc has the rest.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "agents/table.h"
#include "base/json.h"
#include "base/progress.h"
#include "git/repository.h"
#include "mirror/held.h"
#include "sandbox/ask_notifier.h"
#include "sandbox/audit.h"
#include "sandbox/config.h"
#include "sandbox/container.h"
#include "sandbox/histories.h"
#include "sandbox/idle.h"
#include "sandbox/logins.h"
#include "sandbox/machine.h"
#include "sandbox/mirrors.h"
#include "sandbox/pool.h"
#include "sandbox/record.h"
#include "sandbox/screens.h"
#include "sys/xdg.h"

namespace locki::sandbox {

// Which sandbox the user means: a name, or the worktree that `cwd` lies in; a name belongs to the repository of `cwd`.
struct Where {
  std::string cwd;
  std::string name;
};

struct OpenRequest {
  Where where;
  std::string agent;  // "" for a plain command
  bool create = false;
  std::string from;  // the commit-ish that a new branch begins at; "" is HEAD
  std::string program;  // of a plain command: for the audit log
};

struct Opened {
  Record record;
  std::map<std::string, std::string> environment;
  std::vector<std::string> command;  // the agent's program and bypass arguments; empty for a plain command
};

struct RemoveRequest {
  Where where;
  bool force = false;
  bool delete_branch = false;
};

struct ReviewRequest {
  Where where;
  // Only what a merge into this commit would bring, after everything inside has come out (else kConflict); "" for all that the branch and the worktree
  // changed.
  std::string into;
  // Only one that was fetched (manager_branches.cc); "" for the sandbox's own.
  std::string branch;
};

struct FetchRequest {
  Where where;
  std::vector<std::string> branches;  // none: all
  bool list = false;                  // nothing is brought
  bool prune = false;                 // what was fetched and is no longer inside is deleted here
};

// Seconds since 1970; 0 when it is not there.
std::uint64_t modification_time(const std::filesystem::path& path);
// Lexically: the directory itself, too.
bool lies_within(const std::filesystem::path& path, const std::filesystem::path& directory);

class Manager {
 public:
  static Result<std::unique_ptr<Manager>> open(const sys::Paths& paths, const sys::Installation& installation);
  ~Manager();

  Machine& machine() { return machine_; }

  Result<Opened> open_sandbox(const OpenRequest& request, const ProgressSink& progress);
  // A session is a user's open command, and begins with open_sandbox(); it keeps `remove` and `stop` (without force) away, and the daemon alive.
  void session_ends(const std::string& id);  // also brings the agents' logins out
  std::size_t sessions() const;

  Result<Record> create(const Where& where, const std::string& from, const ProgressSink& progress);
  Result<json::array> list(const std::string& cwd, bool all) const;
  Result<Record> start(const Where& where, const ProgressSink& progress);
  // kConflict while a session is open or an agent runs on its own screen, unless forced. So do the other ends of things below.
  Result<Record> stop(const Where& where, bool force, const ProgressSink& progress);
  // kConflict names what would be lost. The branch stays unless asked for.
  Result<Record> remove(const RemoveRequest& request, const ProgressSink& progress);
  // Removes every sandbox of this repository whose commits are all in the branch it began from, and that has nothing uncommitted.
  Result<json::array> remove_merged(const std::string& cwd, const ProgressSink& progress);
  // `durable`: and both sides have it on disk.
  Result<json::object> sync(const Where& where, bool durable, const ProgressSink& progress);
  // What on the branch and in the worktree would run or steer something on the host: {held, findings, changed, tip}. Held files as the user looks at
  // them (held_report.h); what was shown may then be let in. Findings: review/branch.h.
  Result<json::object> review(const ReviewRequest& request, const ProgressSink& progress);
  // Lets in the held files that the words name (paths or patterns). Nothing is let in that was not shown just so: kConflict. Gives their paths.
  Result<json::array> accept_held(const Where& where, const std::vector<std::string>& words, const ProgressSink& progress);
  // Branches made inside besides the sandbox's own, to beneath its prefix of the repository (git/fetched_refs.h): {branches, left_out, more}, as
  // mirror/branch_link.h answers. kNotFound, kConflict for a branch that is named and cannot come.
  Result<json::object> fetch(const FetchRequest& request, const ProgressSink& progress);
  Result<json::array> history(const Where& where) const;
  // An earlier state (of history()) becomes the present one, as a new state on both sides; what is there now is recorded before. Gives the
  // number of files that changed.
  Result<std::size_t> undo(const Where& where, const std::string& version, const ProgressSink& progress);

  Result<json::array> agents() const;
  Result<> update_agent(const std::string& name, const ProgressSink& progress);

  // The machine as a whole (manager_machine.cc).
  Result<json::object> machine_status();
  Result<> build_machine(const ProgressSink& progress);
  Result<> start_machine(const ProgressSink& progress);
  // Sandboxes are brought to rest first; kConflict while sessions are open or agents run, unless forced.
  Result<> stop_machine(bool force, const ProgressSink& progress);
  // With everything that runs in it; the next command wakes it. kConflict while sessions are open, unless forced.
  Result<> suspend_machine(bool force, const ProgressSink& progress);
  // kConflict names the sandboxes whose work is not all here.
  Result<> nothing_to_lose(const ProgressSink& progress);
  Result<> delete_machine(bool keep_golden, const ProgressSink& progress);
  // Roots that no recipe of this build names any more; gives the bytes freed.
  Result<std::uint64_t> prune_machine();
  Result<json::array> doctor();

  // The network's rules (manager_network.cc). A change acts at once, on connections that stand as well. Without a sandbox (neither a name
  // nor a worktree around cwd) it is about all of them.
  Result<json::object> network_policy_json(const Where& where);
  Result<std::string> explain_network(const Where& where, const std::string& target);
  Result<> change_network(const Where& where, bool allow, const std::string& target, Scope scope);
  // "" is the config's mode again.
  Result<> set_network_mode(const Where& where, const std::string& mode);
  Result<json::array> network_log(const Where& where, std::size_t limit) const;
  json::array network_questions();  // for a terminal that watches
  // What the repository of a sandbox wishes to reach (net_wishes.h): {rule, state}, in its order.
  Result<json::array> network_wishes(const Where& where);
  // Those of `targets` that the repository wishes for and that are open take effect from now on; gives them. kConflict when one is no wish of its.
  Result<json::array> grant_wishes(const Where& where, const std::vector<std::string>& targets);
  // The user's word on a question; scope "deny" is no, until the sandbox stops.
  Result<> answer_network(const std::string& id, const std::string& target, const std::string& answer);
  Result<json::array> audit(const Where& where, std::size_t limit) const;

  // First of all: a command must not take a machine that runs for one that does not.
  void take_over() { machine_.adopt(); }
  // Everything that ran when the last daemon ended is taken up again; what it left half-made is finished or cleaned away.
  void recover();
  // To be called every half minute or so: puts a machine to sleep that nobody would miss ([vm] idle).
  void look_for_idleness();
  // Likewise: makes a spare container if one is missing and nobody is kept waiting by that; removes those that serve no more.
  void fill_pool();
  // Mirrors are brought to rest; the machine goes on running.
  void shut_down();
  // The user's session or the host ends, and would end the machine: it is put to sleep, sessions or not, and the memory image is on the disk
  // afterwards. On an error everything is as if it had not been called, or the machine has ended.
  Result<> sleep_before_the_end();

 private:
  Manager(const sys::Paths& paths, const sys::Installation& installation, agents::AgentTable table, git::Program git);

  // While it lives, somebody waits for a container.
  class Attending {
   public:
    explicit Attending(Manager& manager);
    ~Attending();
    Attending(const Attending&) = delete;
    Attending& operator=(const Attending&) = delete;

   private:
    Manager& manager_;
  };

  Result<Config> config() const;
  std::filesystem::path worktree_of(const git::Repository& repository, const std::string& name) const;
  ContainerSetup common_setup();
  ContainerSetup container_setup(const Record& record, const Config& config, const ProgressSink& progress);
  Result<MirrorPlan> mirror_plan(const Record& record, const Config& config) const;
  // (manager_review.cc)
  Result<> add_hold_rules(mirror::StartSettings& settings, const Config& config, const git::Repository& repository) const;
  // Held when the mirror last ran, or now. What cannot be read counts as none.
  std::vector<mirror::HeldFile> held_files(const Record& record) const;
  // (manager_findings.cc)
  Result<> bring_out(Record& record, const ProgressSink& progress);
  Result<json::object> findings(const Record& record, const std::string& into, const std::string& branch = "") const;
  // (manager_branches.cc)
  // Of each fetched branch whose commits nothing else would keep, a line.
  // What the record says of branches that were made inside is from now. They need its mirror.
  Result<> note_other_branches(Record& record);
  // Deletes here what was fetched and is no longer inside: branch -> tip.
  Result<std::map<std::string, git::ObjectId>> prune_fetched(const Record& record);
  // Of those: each whose commits would be nowhere, in words.
  Result<std::vector<std::string>> branches_inside_only(const RemoveRequest& request, const Record& record, const git::Repository& repository) const;
  Result<std::vector<std::string>> fetched_only(const RemoveRequest& request, const Record& record, const git::Repository& repository) const;
  Result<> remove_fetched(const Record& record, const git::Repository& repository, const ProgressSink& progress) const;
  // What only the sandbox has because the door did not let it out, a line each.
  std::vector<std::string> left_inside(const Record& record, const git::Repository& repository, const json::object& sync_reply) const;
  Result<> set_up_agent(Record& record, const agents::Agent& agent, const ProgressSink& progress);
  Result<> remove_parts(const Record& record, const RemoveRequest& request, const ProgressSink& progress);
  // A sandbox that is up is synchronised, and its record says whether that worked. The caller holds its lock.
  Result<> bring_home(Record& record, std::chrono::milliseconds patience, const ProgressSink& progress);
  // Waits until both sides agree, and notes in the record whether that worked and when. The error says why not. The caller saves.
  Result<> settle(Record& record, std::chrono::milliseconds patience);
  Result<> nobody_uses_it(std::string_view remedy) const;
  // All mirrors come to rest, with both sides agreed as far as that goes in the time.
  Result<> rest(std::chrono::milliseconds patience, const ProgressSink& progress);
  void session_begins(const std::string& id);
  // `wanted`: an agent that is about to be used.
  Result<> ensure_machine(const Config& config, const agents::Agent* wanted, const ProgressSink& progress);
  // The mirrors of all containers that run are taken up, as after a restart of the daemon or a sleep of the machine.
  void take_up_running();
  // (manager_list.cc)
  Screens screens_of(const Record& record);
  Result<> refuse_while_in_use(const Record& record, std::string_view verb);
  // Containers that are nobody's: removed while the machine was off, or left by a crash. Once, until there may be some again.
  void sweep();
  void sweep_again();
  // (manager_pool.cc)
  std::string spare_fits(const ContainerSetup& setup) const;
  Result<ContainerSetup> spare_setup(const Config& config);
  Result<std::set<std::string>> taken_addresses() const;
  // A spare becomes this sandbox's container, if there is one. The caller holds containers_mutex_ and the sandbox's lock.
  Result<bool> take_spare(incus::Client& client, Record& record, const ContainerSetup& setup);
  Result<> make_spare(incus::Client& client, const ContainerSetup& setup, const std::string& fits);
  bool memory_is_short();
  // (manager_history.cc)
  // What a new sandbox need not be sent is in its container, made when there is none yet that suits; nothing when its repository is small, or when that
  // failed, which is told.
  Result<std::optional<StoredHistory>> bring_shared_history(incus::Client& client, const Record& record, const git::Repository& repository, const Config& config, const ProgressSink& progress);
  // These: the caller holds histories_mutex_.
  std::vector<StoredHistory> histories_of(const Record& record, const Config& config) const;
  static std::string end_of_new_history(const git::Repository& repository, const std::string& tip, const std::vector<StoredHistory>& known, std::uint64_t share_from);
  Result<StoredHistory> make_history(incus::Client& client, const Record& record, const git::Repository& repository, const std::string& end, const Config& config, const ProgressSink& progress);
  void drop_history(incus::Client& client, const std::string& volume);
  void drop_replaced(incus::Client& client, const git::Repository& repository, const StoredHistory& by, std::vector<StoredHistory> known);
  // Those of repositories that have no sandboxes, and volumes that no history is on.
  void sweep_histories(incus::Client& client);
  Result<Record> find(const Where& where) const;
  // None is fine when no name was given.
  Result<std::optional<Record>> find_any(const Where& where) const;
  AskNotifier::Needs notifier_needs();
  // What the files and the memory say by now holds, for the gate and for names inside.
  Result<> apply_rules();
  Result<> change_rules(Scope scope, const Record* record, const gate::Rule& rule);
  // Records what the repository wishes for, and tells the user what of it is open.
  void note_wishes(const Record& record, const std::vector<gate::Rule>& wishes, const Config& config, const ProgressSink& progress);
  void note_import(const std::string& id, const mirror::Event& event);
  Result<Record> find_or_create(const OpenRequest& request, const ProgressSink& progress);
  Result<Record> make(const Where& where, const std::string& from, const ProgressSink& progress);
  // The sandbox's container runs, has its repository, and its mirror is up.
  Result<> bring_up(Record& record, const ProgressSink& progress, const agents::Agent* wanted = nullptr);
  Result<> bring_up_once(Record& record, const ProgressSink& progress, const agents::Agent* wanted = nullptr);
  Result<> refuse_to_lose_work(const RemoveRequest& request, Record& record, const ProgressSink& progress);
  std::unique_lock<std::mutex> lock(const std::string& id);
  // Locks a sandbox that was found, and reads its record again: others may have gone on with it meanwhile. kNotFound: it is gone.
  Result<std::unique_lock<std::mutex>> hold(Record& record);
  // Its container runs as it did when the machine fell asleep; true once, for whoever looks first. To ask incusd instead costs a woken, emulated
  // machine a third of a second; should the container have ended on its own since, one command fails, and the next one starts it.
  bool take_left_running(const std::string& id);
  // Up as far as this process knows, without asking the machine.
  bool is_up(const std::string& id);
  // Up, or about to be: its mirror can be asked to bring both sides together.
  bool can_settle(const std::string& id);

  static constexpr std::chrono::milliseconds kSyncTime{120'000}, kBringHome{60'000};

  sys::Paths paths_;
  sys::Installation installation_;
  agents::AgentTable agents_;
  RecordStore records_;
  Pool pool_;
  Histories histories_;
  Machine machine_;
  Logins logins_;
  git::Program git_;
  AuditTrail audit_;
  Mirrors mirrors_;  // last: its threads use what is above

  mutable std::mutex mutex_;  // of what follows
  std::map<std::string, std::unique_ptr<std::mutex>> locks_;
  std::map<std::string, std::size_t> sessions_;
  std::size_t attended_ = 0;  // how many wait for a container
  std::chrono::steady_clock::time_point last_attended_;
  bool swept_ = false;
  std::set<std::string> rested_;        // ids whose containers ran when the machine was last brought to rest
  std::set<std::string> left_running_;  // of these, after it was woken: those that nobody has looked at since

  std::mutex create_mutex_;  // one branch and worktree at a time: git's own locks are per file
  // One container is made, started and removed at a time: under emulation several at once make Incus' database miss its own ten seconds.
  std::mutex containers_mutex_;
  std::timed_mutex histories_mutex_;  // one history is made, taken over or removed at a time
  ScreenWatch screens_;
  IdleWatch idle_;  // of look_for_idleness() alone
  std::atomic<std::int64_t> watched_ms_{0};  // when a terminal last asked for questions, by the steady clock; 0: never
  // Shared: the gate's thread may still wake it when the manager goes.
  std::shared_ptr<AskNotifier> notifier_;
  // Shared while something is brought up or used, alone while the machine is stopped or put to sleep. Taken before all other locks.
  std::shared_mutex life_;
};

}  // namespace locki::sandbox
