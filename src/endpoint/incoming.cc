#include "endpoint/incoming.h"

#include "base/strings.h"
#include "endpoint/replay.h"
#include "sys/fault.h"

namespace locki::endpoint {
namespace {

constexpr std::size_t kMaxMessage = 1000;
constexpr int kTries = 20;  // while the agent commits on

// How an error of a pack's answers it.
wire::DoneStatus status_of(const Error& error, const wire::GitPack& request) {
  if (error.kind() == ErrorKind::kUnavailable) return wire::DoneStatus::kWaiting;
  if (error.kind() != ErrorKind::kConflict) return wire::DoneStatus::kFailed;
  return request.agreed_oid.empty() ? wire::DoneStatus::kConflict : wire::DoneStatus::kClash;
}

}  // namespace

wire::Done to_done(wire::Id id, mirror::Tree& tree, std::string_view path, const mirror::Outcome& outcome) {
  wire::Done done{.id = id, .actual = outcome.actual, .message = printable(outcome.reason, kMaxMessage)};
  switch (outcome.status) {
    case mirror::Outcome::Status::kApplied:
      done.status = wire::DoneStatus::kOk;
      break;
    case mirror::Outcome::Status::kConflict:
      done.status = wire::DoneStatus::kConflict;
      // Else a file that becomes again what was reported before would never be reported again.
      tree.note_told(path, outcome.actual);
      break;
    case mirror::Outcome::Status::kFailed:
      done.status = wire::DoneStatus::kFailed;
      break;
  }
  return done;
}

wire::Done failed_done(wire::Id id, const Error& error) {
  const bool conflict = error.kind() == ErrorKind::kConflict;
  return {.id = id,
          .status = conflict ? wire::DoneStatus::kConflict : wire::DoneStatus::kFailed,
          .message = printable(error.describe(), kMaxMessage)};
}

std::optional<wire::Done> Incoming::begin(mirror::Tree& tree, const wire::Put& put) {
  switch (put.entry.kind) {
    case mirror::EntryKind::kDirectory:
      return to_done(put.id, tree, put.path, tree.put_directory(put.path, put.expected));
    case mirror::EntryKind::kSymlink:
      return to_done(put.id, tree, put.path, tree.put_symlink(put.path, put.entry, put.expected));
    case mirror::EntryKind::kFile:
      break;
  }
  auto file = tree.begin_file(put.path, put.entry, put.expected);
  transfers_.erase(put.id);
  if (file) {
    transfers_.emplace(put.id, File{put.path, std::move(*file)});
  } else {
    transfers_.emplace(put.id, std::move(file).error());
  }
  return std::nullopt;
}

bool Incoming::begin(const Repository& repository, const wire::GitPack& request) {
  transfers_.erase(request.id);
  auto start = [&]() -> Result<PackProcess> {
    TRY(repository.make());
    TRY_ASSIGN(const HeadInfo now, repository.head());
    if (request.agreed_oid.empty() && now.oid != request.old_oid && now.oid != request.new_oid)
      return fail(ErrorKind::kConflict, "the branch moved meanwhile");
    return repository.start_unpack();
  };
  auto process = start();
  const bool started = process.has_value();
  if (process) transfers_.emplace(request.id, Pack{request, std::move(*process)});
  else transfers_.emplace(request.id, std::move(process).error());
  return started;
}

std::optional<wire::Done> Incoming::take(mirror::Tree& tree, Repository& repository, const wire::Data& data,
                                         bool& pack_ended) {
  const auto found = transfers_.find(data.id);
  if (found == transfers_.end()) return std::nullopt;
  Transfer& transfer = found->second;
  if (data.failed && !std::holds_alternative<Error>(transfer))
    transfer = Error(ErrorKind::kCancelled, "the host gave it up");
  if (!data.bytes.empty() && !std::holds_alternative<Error>(transfer)) {
    auto written = std::holds_alternative<Pack>(transfer)
                       ? sys::write_all(std::get<Pack>(transfer).process.pipe.get(), data.bytes)
                       : std::get<File>(transfer).put.write(as_bytes(data.bytes));
    if (auto* pack = std::get_if<Pack>(&transfer)) pack->empty = false;
    if (!written) transfer = std::move(written).error();
  }
  if (!data.last && !data.failed) return std::nullopt;

  wire::Done done{.id = data.id};
  if (const auto* error = std::get_if<Error>(&transfer)) {
    done = failed_done(data.id, *error);
  } else if (auto* file = std::get_if<File>(&transfer)) {
    done = to_done(data.id, tree, file->path, file->put.commit());
  } else {
    auto& pack = std::get<Pack>(transfer);
    const auto replayed = finish_pack(tree, repository, pack);
    if (!replayed) done = failed_done(data.id, replayed.error()), done.status = status_of(replayed.error(), pack.request);
    else done.replayed = *replayed;
    pack_ended = true;
  }
  transfers_.erase(found);
  return done;
}

Result<std::uint32_t> Incoming::finish_pack(mirror::Tree& tree, Repository& repository, Pack& pack) {
  pack.process.pipe.reset();
  TRY_ASSIGN(const sys::Exit exit, pack.process.child.wait());
  if (!exit.ok() && !pack.empty) return fail(ErrorKind::kFailed, "git index-pack " + exit.describe() + ": " + sys::read_words(pack.process.words));
  sys::fault_point("far.unpacked");
  return pack.request.agreed_oid.empty() ? replace(tree, repository, pack.request) : put_beneath(repository, pack.request);
}

// The branch becomes the host's.
Result<std::uint32_t> Incoming::replace(mirror::Tree& tree, Repository& repository, const wire::GitPack& request) {
  const std::string &to = request.new_oid, &from = request.old_oid;
  // A first commit into an empty worktree brings its files along: that is the initial clone.
  if (from.empty() && tree.state().empty()) {
    TRY(repository.begin(to));
    return 0U;
  }
  TRY_ASSIGN(problem_, repository.move(to, from));
  return 0U;
}

// The host's comes beneath what the agent has committed since both agreed. The agent may go on committing meanwhile: then that is put on top
// of the rest, until nothing is left.
Result<std::uint32_t> Incoming::put_beneath(Repository& repository, const wire::GitPack& request) {
  const std::string &to = request.new_oid, &agreed = request.agreed_oid;
  std::optional<Replay> replay;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (const std::string what = repository.under_way(); !what.empty()) return fail(ErrorKind::kUnavailable, what + " is under way");
    TRY_ASSIGN(const HeadInfo now, repository.head());
    if (now.oid == to) return 0U;
    std::string target = to;
    if (now.oid != agreed && !now.oid.empty()) {
      TRY_ASSIGN(const bool beneath, repository.is_ancestor(to, now.oid));
      if (beneath) return 0U;
      TRY_ASSIGN(const bool contained, repository.is_ancestor(now.oid, to));
      if (!contained) {
        bool goes_on = replay.has_value();
        if (goes_on) {
          TRY_ASSIGN(goes_on, repository.is_ancestor(replay->taken_up_to(), now.oid));
        }
        if (!goes_on) replay.emplace(repository, to);
        TRY(replay->add(goes_on ? replay->taken_up_to() : agreed, now.oid));
        target = replay->tip();
      }
    }
    sys::fault_point("far.replayed");
    auto moved = repository.move(target, now.oid);
    if (moved) {
      problem_ = std::move(*moved);
      return target == to ? 0U : replay->count();
    }
    if (moved.error().kind() != ErrorKind::kConflict) return fail(std::move(moved).error());
  }
  return fail(ErrorKind::kUnavailable, "the branch moves all the time");
}

}  // namespace locki::endpoint
