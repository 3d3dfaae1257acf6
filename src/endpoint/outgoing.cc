#include "endpoint/outgoing.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/strings.h"

namespace locki::endpoint {

bool Outgoing::pump(Link& link, const mirror::Tree& tree, const Repository& repository) {
  if (!link.wants_data()) return false;
  if (file_) {
    send_file_piece(link);
    return true;
  }
  if (pack_) return send_pack_piece(link);
  if (waiting_.empty()) return false;
  start(link, tree, repository);
  return true;
}

void Outgoing::start(Link& link, const mirror::Tree& tree, const Repository& repository) {
  const auto next = std::move(waiting_.front());
  waiting_.pop_front();
  if (const auto* fetch = std::get_if<wire::Fetch>(&next)) {
    start_file(link, tree, *fetch);
  } else {
    start_pack(link, repository, std::get<wire::GitFetch>(next));
  }
}

void Outgoing::start_file(Link& link, const mirror::Tree& tree, const wire::Fetch& fetch) {
  const auto known = tree.state().find(fetch.path);
  const bool current = known != tree.state().end() && known->second.kind == mirror::EntryKind::kFile &&
                       known->second.content == fetch.content;
  auto opened = current ? tree.open_file(fetch.path) : Result<sys::OpenedFile>(fail(ErrorKind::kNotFound, ""));
  if (!opened || opened->stat.size != known->second.size) return link.send(wire::ContentGone{fetch.id});
  link.send(wire::Content{fetch.id, known->second.size});
  file_.emplace();
  file_->id = fetch.id;
  file_->fd = std::move(opened->fd);
  file_->left = known->second.size;
  file_->content = fetch.content;
}

void Outgoing::send_file_piece(Link& link) {
  File& file = *file_;
  wire::Data data{.id = file.id};
  Bytes buffer(std::min<std::uint64_t>(file.left, wire::kMaxData));
  const auto got =
      file.left == 0 ? Result<std::size_t>(0U) : sys::read_some(file.fd.get(), buffer.data(), buffer.size());
  if (got && (*got > 0 || file.left == 0)) {
    data.bytes.assign(as_text(ByteView(buffer.data(), *got)));
    file.hasher.update(data.bytes);
    file.left -= *got;
    data.last = file.left == 0;
    // It changed while it was read: the host must not take a mixture for what it asked for.
    if (data.last && file.hasher.finish() != file.content) data.failed = true;
  } else {
    data.last = data.failed = true;
  }
  if (data.failed) data.bytes.clear();
  const bool over = data.last;
  link.send(std::move(data));
  if (over) file_.reset();
}

void Outgoing::start_pack(Link& link, const Repository& repository, const wire::GitFetch& fetch) {
  auto process = repository.start_pack(fetch.wants, fetch.haves);
  if (!process)
    return link.send(wire::Done{
        .id = fetch.id, .status = wire::DoneStatus::kFailed, .message = printable(process.error().describe(), 1000)});
  link.send(wire::Pack{fetch.id, fetch.wants.front()});
  pack_.emplace(Pack{fetch.id, std::move(*process)});
}

bool Outgoing::send_pack_piece(Link& link) {
  Bytes buffer(wire::kMaxData);
  const ssize_t got = ::read(pack_->process.pipe.get(), buffer.data(), buffer.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  wire::Data data{.id = pack_->id};
  if (got > 0) {
    data.bytes.assign(as_text(ByteView(buffer.data(), static_cast<std::size_t>(got))));
    link.send(std::move(data));
    return true;
  }
  const auto exit = pack_->process.child.wait();
  if (got == 0 && exit && exit->ok()) {
    data.last = true;
    link.send(std::move(data));
  } else {
    const std::string how = exit ? exit->describe() : exit.error().describe();
    link.send(wire::Done{.id = pack_->id,
                         .status = wire::DoneStatus::kFailed,
                         .message = printable("git pack-objects " + how + ": " + sys::read_words(pack_->process.words), 1000)});
  }
  pack_.reset();
  return true;
}

}  // namespace locki::endpoint
