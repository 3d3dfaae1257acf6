#include "daemon/channel.h"

#include <array>

#include "sys/socket.h"

namespace locki::daemon {

namespace {
constexpr std::size_t kMaxLine = 8 << 20;
}

Result<Line> Channel::read() {
  for (;;) {
    if (const auto end = buffered_.find('\n'); end != std::string::npos) {
      Line line;
      auto object = json::parse_object(std::string_view(buffered_).substr(0, end), kMaxLine);
      buffered_.erase(0, end + 1);
      if (!object) return fail(std::move(object).error());
      line.object = std::move(*object);
      line.fds = std::exchange(pending_fds_, {});
      return line;
    }
    if (buffered_.size() > kMaxLine) return fail(ErrorKind::kProtocol, "a line of more than 8 MiB");
    TRY_ASSIGN(auto message, sys::receive_message(socket_.get(), 65536));
    if (message.data.empty()) return fail(ErrorKind::kUnavailable, "the connection was closed");
    buffered_ += message.data;
    for (auto& fd : message.fds) pending_fds_.push_back(std::move(fd));
  }
}

Result<> Channel::write(const json::object& object, const std::vector<int>& fds) {
  return sys::send_message(socket_.get(), json::serialize(object) + "\n", fds);
}

json::object error_to_json(const Error& error) {
  json::array contexts;
  for (const auto& text : error.contexts()) contexts.emplace_back(text);
  return {{"kind", to_string(error.kind())}, {"message", error.message()}, {"hint", error.hint()}, {"contexts", std::move(contexts)}};
}

Error error_from_json(const json::object& o) {
  static constexpr std::array kKinds{ErrorKind::kFailed,   ErrorKind::kUsage,      ErrorKind::kNotFound, ErrorKind::kExists,
                                     ErrorKind::kConflict, ErrorKind::kTimeout,    ErrorKind::kPermission, ErrorKind::kUnavailable,
                                     ErrorKind::kCorrupt,  ErrorKind::kProtocol,   ErrorKind::kNoSpace,  ErrorKind::kCancelled};
  const std::string name = json::string_or(o, "kind", "failed");
  ErrorKind kind = ErrorKind::kFailed;
  for (const auto candidate : kKinds) {
    if (to_string(candidate) == name) kind = candidate;
  }
  Error error(kind, json::string_or(o, "message", "the daemon gave no reason"));
  if (const auto* contexts = json::array_or_null(o, "contexts")) {
    for (const auto& text : *contexts) {
      if (text.is_string()) error.add_context(std::string(text.get_string().c_str()));
    }
  }
  error.set_hint(json::string_or(o, "hint"));
  return error;
}

namespace {
constexpr std::array<std::pair<ProgressEvent::Kind, std::string_view>, 5> kEventKinds{{{ProgressEvent::Kind::kBegin, "begin"},
                                                                                       {ProgressEvent::Kind::kUpdate, "update"},
                                                                                       {ProgressEvent::Kind::kEnd, "end"},
                                                                                       {ProgressEvent::Kind::kNote, "note"},
                                                                                       {ProgressEvent::Kind::kWarning, "warning"}}};
}

json::object event_to_json(const ProgressEvent& event) {
  json::object o{{"phase", event.phase}, {"text", event.text}};
  for (const auto& [kind, name] : kEventKinds) {
    if (kind == event.kind) o["kind"] = name;
  }
  if (event.fraction) o["fraction"] = *event.fraction;
  return o;
}

ProgressEvent event_from_json(const json::object& o) {
  ProgressEvent event;
  const std::string name = json::string_or(o, "kind");
  for (const auto& [kind, known] : kEventKinds) {
    if (known == name) event.kind = kind;
  }
  event.phase = json::string_or(o, "phase");
  event.text = json::string_or(o, "text");
  if (const auto* fraction = o.if_contains("fraction"); fraction != nullptr && fraction->is_number()) event.fraction = fraction->to_number<double>();
  return event;
}

}  // namespace locki::daemon
