#include "sandbox/container.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/log.h"
#include "git/pack.h"
#include "git/shallow.h"
#include "sandbox/agent_store.h"
#include "sandbox/history_volume.h"
#include "sandbox/provision.h"
#include "sandbox/tar.h"
#include "sys/file.h"

namespace locki::sandbox {

// Incus names: letters, digits, hyphens, not first or last, at most 63. The id makes it unique; the name is for people.
std::string instance_name(const std::string& name, const std::string& id) {
  std::string slug;
  for (const char c : ascii_lower(name)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain || (!slug.empty() && slug.back() != '-')) slug += plain ? c : '-';
  }
  slug = slug.substr(0, 40);
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return fmt::format("lk-{}{}{}", slug, slug.empty() ? "" : "-", id);
}

incus::CreateInstance container_definition(const Record& record, const Limits& limits, const std::string& image_alias) {
  incus::CreateInstance wanted;
  wanted.name = record.instance;
  wanted.source = incus::FromImage{.fingerprint = "", .alias = image_alias};
  wanted.description = fmt::format("{} of {}", record.name, record.repo);
  wanted.profiles = {std::string(kProfile)};
  wanted.config = {{"limits.cpu", std::to_string(limits.cpus)},
                   {"limits.memory", fmt::format("{}B", limits.memory_bytes)},
                   {"limits.processes", std::to_string(limits.processes)},
                   {"user.locki.id", record.id}};
  wanted.config.merge(network_config(record.address));
  incus::Config root{{"type", "disk"}, {"path", "/"}, {"pool", std::string(kPool)}, {"size", fmt::format("{}B", limits.disk_bytes)}};
  wanted.devices = {{"root", std::move(root)}, {"agents", agent_store_device(false)}, {"eth0", network_device(record.address)}};
  return wanted;
}

namespace {

Result<> prepare(incus::Client& client, const Record& record, const ContainerSetup& setup) {
  TRY_ASSIGN(const std::string endpoint, sys::read_file(setup.endpoint_program));
  TarWriter tar;
  tar.file(kEndpoint, endpoint, 0755);
  TRY_ASSIGN(const std::string session, sys::read_file(setup.session_files / "agent-session"));
  TRY_ASSIGN(const std::string screen, sys::read_file(setup.session_files / "tmux.conf"));
  const std::string beside = std::string(kAgentSession.substr(0, kAgentSession.rfind('/')));
  tar.file(kAgentSession, session, 0755);
  tar.file(beside + "/tmux.conf", screen, 0644);
  incus::RunOptions options;
  options.input = tar.finish();
  // Two archives after one another are one with --ignore-zeros: one command, one round trip.
  options.input += setup.trust_archive();
  return context(client.run_ok(record.instance, {"/usr/bin/tar", "-x", "--ignore-zeros", "--no-same-owner", "-C", "/"}, options),
                 "while preparing the container")
      .map([](const std::string&) {});
}

// One that has just died may still count as running for a moment, and its start as done.
Result<> start_prepared(incus::Client& client, const Record& record, const ContainerSetup& setup) {
  constexpr int kAttempts = 4;
  for (int attempt = 1;; ++attempt) {
    TRY(context(patiently("starting " + record.instance, [&] { return client.start(record.instance); }), "while starting the container"));
    auto prepared = prepare(client, record, setup);
    if (prepared || attempt == kAttempts) return prepared;
    log::info("{}; once more", prepared.error().describe());
    std::this_thread::sleep_for(std::chrono::seconds(attempt));
  }
}

// Incus writes its database down at once and its storage every half minute: after a crash it may know a container that the
// disk does not have yet. Nothing ever ran in what is there no sign of.
bool has_no_disk(const Error& error, const std::string& instance) {
  return error.describe().find("/containers/" + instance + ": no such file or directory") != std::string::npos;
}

Result<> create(incus::Client& client, const Record& record, const ContainerSetup& setup, const ProgressSink& progress) {
  Phase phase(progress, "container", "Creating the container");
  const auto wanted = container_definition(record, setup.limits, setup.image_alias);
  bool again = false;
  auto created = patiently("creating " + record.instance, [&]() -> Result<> {
    if (std::exchange(again, true)) TRY(remove_container(client, record.instance));  // what the attempt left
    return client.create_instance(wanted);
  });
  return context(std::move(created), "while creating the container");
}

Result<> start(incus::Client& client, const Record& record, const ContainerSetup& setup, const ProgressSink& progress) {
  Phase phase(progress, "container.start", "Starting the container");
  return start_prepared(client, record, setup);
}

}  // namespace

Result<bool> ensure_container(incus::Client& client, const Record& record, const ContainerSetup& setup, const ProgressSink& progress) {
  auto found = client.instance(record.instance);
  const bool exists = found.has_value();
  if (!exists && found.error().kind() != ErrorKind::kNotFound) return fail(std::move(found).error());
  if (exists && found->running()) {
    if (record.programs == setup.programs) return false;
    Phase phase(progress, "container.programs", "Bringing this version's programs into the sandbox");
    TRY(prepare(client, record, setup));
    return false;
  }
  if (!exists) TRY(create(client, record, setup, progress));
  auto started = start(client, record, setup, progress);
  if (started) return !exists;
  if (!exists || !has_no_disk(started.error(), record.instance)) return fail(std::move(started).error());
  report(progress, {ProgressEvent::Kind::kWarning, "container", "the machine's disk has fallen back to before this container was made: it is made anew", std::nullopt});
  TRY(remove_container(client, record.instance));
  TRY(create(client, record, setup, progress));
  TRY(start(client, record, setup, progress));
  return true;
}

namespace {

// Not beneath /run: a container that has just been started may mount its own there a moment later.
constexpr std::string_view kBoundaryInside = "/usr/local/lib/locki/shallow";

// A commit that one attempt knew as a boundary and another one does not only makes later packs larger; one that was forgotten would leave
// holes. So both stand until an attempt is known to have succeeded.
Result<> note_boundary(const std::filesystem::path& file, std::vector<git::ObjectId> boundary) {
  TRY_ASSIGN(const auto before, git::read_boundary(file));
  if (boundary.empty() && before.empty()) return {};
  boundary.insert(boundary.end(), before.begin(), before.end());
  std::sort(boundary.begin(), boundary.end());
  boundary.erase(std::unique(boundary.begin(), boundary.end()), boundary.end());
  return sys::write_file(file, git::boundary_text(boundary), 0600);
}

Result<> bring_boundary(incus::Client& client, const Record& record, const std::vector<git::ObjectId>& boundary) {
  TarWriter tar;
  tar.file(kBoundaryInside, git::boundary_text(boundary), 0600);
  incus::RunOptions options;
  options.input = tar.finish();
  TRY(context(client.run_ok(record.instance, {"/usr/bin/tar", "-x", "--no-same-owner", "-C", "/"}, options), "while saying where the history ends"));
  return {};
}

// What is shared ends where it ended when it was made; the branch may have a few commits more than the limit then.
Result<git::History> history_of(const git::Repository& repository, const git::ObjectId& tip, const CloneSetup& setup) {
  if (setup.shared) return git::History{.boundary = setup.shared->boundary, .cut = !setup.shared->boundary.empty()};
  return context(git::newest_history(repository, tip, setup.max_history), "while looking how long the history is");
}

}  // namespace

Result<git::ObjectId> clone_inside(incus::Client& client, const Record& record, const git::Repository& repository, const CloneSetup& setup, const ProgressSink& progress) {
  Phase phase(progress, "clone", "Cloning the branch into the sandbox");
  TRY_ASSIGN(const git::ObjectId tip, repository.resolve("refs/heads/" + record.name));
  TRY_ASSIGN(const std::string user_name, repository.user_name());
  TRY_ASSIGN(const std::string user_email, repository.user_email());
  TRY_ASSIGN(const git::History history, history_of(repository, tip, setup));
  if (history.cut) {
    report(progress, {ProgressEvent::Kind::kNote, "clone", fmt::format("The history is long: {} gets its newest {} commits ([git] max_history in config.toml).", record.name, setup.max_history), std::nullopt});
  }
  TRY(note_boundary(setup.boundary_file, history.boundary));
  if (!history.boundary.empty()) TRY(bring_boundary(client, record, history.boundary));
  std::vector<git::ObjectId> there;
  if (setup.shared) there.push_back(setup.shared->tip);
  TRY_ASSIGN(const std::string revisions, git::pack_revisions(repository, tip, there, history.boundary));
  TRY_ASSIGN(sys::Pipe pack, sys::make_pipe());
  TRY_ASSIGN(sys::Pipe wanted, sys::make_pipe());
  sys::ProcessSpec packer = git::pack_command(repository, pack.write.get());
  packer.in = wanted.read.get();
  TRY_ASSIGN(sys::Child packing, sys::spawn(packer));
  wanted.read.reset();
  pack.write.reset();
  // It reads all of them before it writes.
  TRY(sys::write_all(wanted.write.get(), revisions));
  wanted.write.reset();

  incus::ExecRequest request;
  request.argv = {std::string(kEndpoint), "--init-clone",         "--root",       record.worktree, "--branch",      record.name,
                  "--oid",                tip,                    "--object-format", repository.object_format(),      "--user-name", user_name,
                  "--user-email",         user_email,             "--hostname",   instance_name(record.name, record.id)};
  if (!history.boundary.empty()) request.argv.insert(request.argv.end(), {"--shallow", std::string(kBoundaryInside)});
  if (setup.shared) request.argv.insert(request.argv.end(), {"--history", std::string(kHistoryInside)});
  sys::Fd messages(::memfd_create("locki-clone", MFD_CLOEXEC));
  incus::ExecControl control;
  TRY_ASSIGN(const auto ended, context(client.exec(record.instance, request, {.in = pack.read.get(), .out = -1, .err = messages.get()}, control), "while cloning into the sandbox"));
  pack.read.reset();
  TRY_ASSIGN(const sys::Exit packed, packing.wait());
  ::lseek(messages.get(), 0, SEEK_SET);
  const std::string said = sys::read_all(messages.get(), 1 << 20).value_or("");
  constexpr int kThereAlready = 3;  // a clone that was complete before a crash
  if (ended.status == kThereAlready) return git::ObjectId();
  if (ended.status != 0 || !packed.ok()) {
    return fail(ErrorKind::kFailed, fmt::format("the clone inside failed (git pack-objects {}; inside: status {})\n  {}", packed.describe(), ended.status, printable(trim(said), 1000)));
  }
  if (history.boundary.empty()) TRY(sys::remove_tree(setup.boundary_file));
  else TRY(sys::write_file(setup.boundary_file, git::boundary_text(history.boundary), 0600));
  return tip;
}

namespace {

Result<> remove_once(incus::Client& client, const std::string& instance) {
  TRY_ASSIGN(const bool exists, client.instance_exists(instance));
  if (!exists) return {};
  TRY(client.stop(instance, true));
  auto gone = client.delete_instance(instance);
  if (!gone && gone.error().kind() != ErrorKind::kNotFound) return fail(std::move(gone).error());
  return {};
}

}  // namespace

Result<> remove_container(incus::Client& client, const std::string& instance) {
  return patiently("removing " + instance, [&] { return remove_once(client, instance); });
}

}  // namespace locki::sandbox
