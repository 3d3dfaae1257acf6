// Contents on their way in and out of a session.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "mirror/session_impl.h"

namespace locki::mirror {
Result<> Session::Impl::spool_file(std::filesystem::path& path, sys::Fd& fd) {
  path = spool_directory / std::to_string(++last_id);
  TRY_ASSIGN(fd, sys::open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  return {};
}

Result<> Session::Impl::start_downloads() {
  while (!round->waiting.empty() && downloads.size() < kDownloadsAhead) {
    Download download = std::move(round->waiting.front());
    round->waiting.pop_front();
    const Action& action = download.step.action;
    const Entry& wanted = download.to_spool ? *action.keep : *action.to;
    const wire::Id id = ++last_id;
    door.expect_file(id, wanted.size);
    stream.send(wire::Fetch{id, action.path, wanted.content});
    downloads.emplace(id, std::move(download));
  }
  return {};
}

Result<> Session::Impl::content(const wire::Content& message) {
  Download& download = downloads.at(message.id);
  const Action& action = download.step.action;
  if (download.to_spool) return spool_file(download.spool_path, download.spool);
  auto put = tree->begin_file(action.path, *action.to, action.from);
  if (put) {
    download.put.emplace(std::move(*put));
  } else {
    download.problem = put.error().describe();  // the bytes still come, and go nowhere
  }
  return {};
}

Result<> Session::Impl::data(const wire::Data& message) {
  Download& download = downloads.at(message.id);
  if (!message.failed && !message.bytes.empty()) {
    const ByteView bytes = as_bytes(message.bytes);
    if (download.to_spool) {
      download.hash.update(bytes);
      TRY(sys::write_all(download.spool.get(), bytes));
    } else if (download.put) {
      if (auto written = download.put->write(bytes); !written) {
        download.problem = written.error().describe();
        download.put.reset();
      }
    }
  }
  return message.last || message.failed ? download_ended(message.id, !message.failed) : Result<>{};
}

Result<> Session::Impl::download_ended(wire::Id id, bool whole) {
  auto node = downloads.extract(id);
  Download& download = node.mapped();
  const Action& action = download.step.action;
  if (download.to_spool) {
    if (!whole || download.hash.finish() != action.keep->content) download.problem = "it changed meanwhile";
    return rescued(download);
  }
  if (!whole) return not_as_listed(action), Result<>{};
  plan_again = true;
  if (!download.put) {
    block(action, download.problem, true);
    return {};
  }
  return host_outcome(action, download.put->commit());
}

Result<> Session::Impl::open_upload(wire::Id id, const Step& step) {
  const Action& action = step.action;
  Upload next{.id = id,
              .left = action.to->size,
              .want = action.to->content,
              .path = action.path,
              .from_tree = step.spool.empty()};
  if (!step.spool.empty()) {
    TRY_ASSIGN(next.file, sys::open_file(step.spool, O_RDONLY));
  } else {
    auto opened = tree->open_file(action.path);
    if (!opened) {
      // Changed on the host since the plan: look again.
      dirty.insert(action.path);
      if (!first_dirty) first_dirty = last_dirty = Clock::now();
      return {};
    }
    next.file = std::move(opened->fd);
  }
  door.expect_done(id);
  stream.send(wire::Put{id, action.path, *action.to, action.from});
  sent.emplace(id, step);
  upload.emplace(std::move(next));
  return {};
}

Result<> Session::Impl::pump_uploads() {
  if (!round || !round->applying) return {};
  std::array<std::uint8_t, wire::kMaxData> buffer;
  // A few pieces a turn: what comes from the other side gets its turn in between.
  for (int piece = 0; piece < 64; ++piece) {
    if (!upload) {
      if (round->uploads.empty() || sent.size() >= kRequestsAhead) return {};
      Step step = std::move(round->uploads.front());
      round->uploads.pop_front();
      TRY(send_step(std::move(step)));
      continue;
    }
    if (!stream.may_send_data()) return {};
    const std::size_t ask = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), upload->left));
    std::size_t n = 0;
    if (ask > 0) {
      auto got = sys::read_some(upload->file.get(), buffer.data(), ask);
      n = got ? *got : 0;
    }
    const ByteView bytes(buffer.data(), n);
    upload->hash.update(bytes);
    upload->left -= n;
    const bool last = upload->left == 0;
    const bool failed = (n == 0 && !last) || (last && upload->hash.finish() != upload->want);
    stream.send(wire::Data{upload->id, last && !failed, failed, failed ? "" : std::string(as_text(bytes))});
    if (failed && upload->from_tree) {
      // It was written while it was read.
      dirty.insert(upload->path);
      if (!first_dirty) first_dirty = last_dirty = Clock::now();
    }
    if (last || failed) upload.reset();
  }
  return {};
}

}  // namespace locki::mirror
