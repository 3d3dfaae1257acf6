#include "mirror/control.h"

#include "base/strings.h"

namespace locki::mirror {

json::object to_json(const StartSettings& s) {
  const auto list = [](const std::vector<std::string>& items) {
    json::array out;
    for (const std::string& item : items) out.emplace_back(item);
    return out;
  };
  return {{"sandbox", s.sandbox},
          {"instance", s.instance},
          {"cloned", s.cloned},
          {"worktree", s.worktree},
          {"inside", s.inside},
          {"state", s.state},
          {"branch", s.branch},
          {"git", s.git},
          {"home", s.home},
          {"user_name", s.user_name},
          {"user_email", s.user_email},
          {"include", list(s.include)},
          {"hold_rules", s.hold_rules},
          {"hold", list(s.hold)},
          {"allow", list(s.allow)}};
}

Result<StartSettings> start_settings_from_json(const json::object& o) {
  StartSettings s;
  TRY_ASSIGN(s.sandbox, json::get_string(o, "sandbox"));
  s.instance = json::string_or(o, "instance");
  s.cloned = json::string_or(o, "cloned");
  TRY_ASSIGN(s.worktree, json::get_string(o, "worktree"));
  TRY_ASSIGN(s.inside, json::get_string(o, "inside"));
  TRY_ASSIGN(s.state, json::get_string(o, "state"));
  TRY_ASSIGN(s.branch, json::get_string(o, "branch"));
  TRY_ASSIGN(s.git, json::get_string(o, "git"));
  TRY_ASSIGN(s.home, json::get_string(o, "home"));
  s.user_name = json::string_or(o, "user_name");
  s.user_email = json::string_or(o, "user_email");
  s.hold_rules = json::string_or(o, "hold_rules");
  for (const auto& [key, into] : {std::pair{"include", &s.include}, {"hold", &s.hold}, {"allow", &s.allow}}) {
    const json::array* items = json::array_or_null(o, key);
    if (items == nullptr) continue;
    for (const json::value& item : *items) {
      if (item.is_string()) into->emplace_back(item.as_string());
    }
  }
  for (const std::string* path : {&s.worktree, &s.inside, &s.state, &s.git}) {
    if (!path->starts_with('/')) return fail(ErrorKind::kUsage, "'" + printable(*path) + "' is not an absolute path");
  }
  return s;
}

sys::ProcessSpec worker_spec(const std::filesystem::path& libexec, int stream_fd, int control_fd, int log_fd) {
  sys::ProcessSpec spec{
      .program = (libexec / "mirror").string(), .environment = sys::clean_environment(), .err = log_fd};
  spec.extra_fds = {{kStreamFd, stream_fd}, {kControlFd, control_fd}};
  spec.parent_death_signal = SIGKILL;
  return spec;
}

json::object to_json(const Event& event) {
  json::object o{{"event", event.kind}};
  if (!event.path.empty()) o["path"] = event.path;
  if (!event.version.empty()) o["version"] = event.version;
  if (!event.text.empty()) o["text"] = event.text;
  return o;
}

Result<Event> event_from_json(const json::object& o) {
  Event event;
  TRY_ASSIGN(event.kind, json::get_string(o, "event"));
  event.path = json::string_or(o, "path");
  event.version = json::string_or(o, "version");
  event.text = json::string_or(o, "text");
  return event;
}

}  // namespace locki::mirror
