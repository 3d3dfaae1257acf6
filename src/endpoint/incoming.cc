#include "endpoint/incoming.h"

#include "base/strings.h"
#include "sys/fault.h"

namespace locki::endpoint {
namespace {

constexpr std::size_t kMaxMessage = 1000;

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
    if (now.oid != request.old_oid && now.oid != request.new_oid)
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
                                         bool& moved) {
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
  } else if (const auto finished = finish_pack(tree, repository, std::get<Pack>(transfer)); !finished) {
    done = failed_done(data.id, finished.error());
  } else {
    moved = true;
  }
  transfers_.erase(found);
  return done;
}

Result<> Incoming::finish_pack(mirror::Tree& tree, Repository& repository, Pack& pack) {
  pack.process.pipe.reset();
  TRY_ASSIGN(const sys::Exit exit, pack.process.child.wait());
  if (!exit.ok() && !pack.empty) return fail(ErrorKind::kFailed, "git index-pack " + exit.describe());
  const std::string &to = pack.request.new_oid, &from = pack.request.old_oid;
  sys::fault_point("far.unpacked");
  TRY(repository.note_behind(to, from));
  TRY(repository.move_branch(to, from));
  sys::fault_point("far.moved");
  // A first commit into an empty worktree brings its files along: that is the initial clone.
  if (from.empty() && tree.state().empty()) {
    TRY(repository.check_out(to));
    repository.caught_up();
    return {};
  }
  // The branch has moved, whatever becomes of the index: Session::follow() goes on where this one cannot.
  const auto followed = repository.index_follows(to, from);
  if (followed) repository.caught_up();
  if (followed && !followed->empty()) problem_ = *followed;
  return {};
}

}  // namespace locki::endpoint
