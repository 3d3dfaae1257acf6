#include "sandbox/logins.h"

#include "agents/login.h"
#include "base/hash.h"
#include "base/log.h"
#include "sandbox/container.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

namespace {

std::string inside_path(const agents::LoginFile& file) { return std::string(kHome) + "/" + file.path; }

// A symlink or directory inside is nobody's login.
Result<std::string> pull(incus::Client& client, const std::string& instance, const agents::LoginFile& file) {
  auto pulled = client.pull_file(instance, inside_path(file), file.max_bytes);
  if (!pulled && pulled.error().kind() == ErrorKind::kNotFound) return std::string();
  if (!pulled) return fail(std::move(pulled).error());
  return pulled->kind == incus::FileKind::kFile ? std::move(pulled->content) : std::string();
}

Result<> push_directories(incus::Client& client, const std::string& instance, const std::string& path) {
  // Only the first level beneath home exists for sure.
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    incus::FilePush directory{.path = std::string(kHome) + "/" + path.substr(0, slash), .kind = incus::FileKind::kDirectory, .mode = 0700};
    TRY(client.push_file(instance, directory));
  }
  return {};
}

}  // namespace

Result<> Logins::bring_in(incus::Client& client, const std::string& instance, const agents::Agent& agent) {
  const std::scoped_lock lock(mutex_);
  for (const auto& file : agent.logins) {
    auto ours = sys::read_file(home_ / file.path, file.max_bytes);
    if (!ours && ours.error().kind() == ErrorKind::kNotFound) continue;
    if (!ours) return fail(std::move(ours).error());
    TRY_ASSIGN(const std::string theirs, pull(client, instance, file));
    std::string& last = last_[instance + "\n" + file.path];
    const bool changed_inside = !theirs.empty() && hash_of(theirs).to_hex() != last;
    last = hash_of(*ours).to_hex();
    if (theirs == *ours || (changed_inside && !theirs.empty() && agents::check_login(file, theirs))) continue;
    TRY(push_directories(client, instance, file.path));
    TRY(client.push_file(instance, {.path = inside_path(file), .content = *ours, .mode = 0600}));
  }
  return {};
}

Result<> Logins::bring_out(incus::Client& client, const std::string& instance, const agents::Agent& agent) {
  const std::scoped_lock lock(mutex_);
  for (const auto& file : agent.logins) {
    TRY_ASSIGN(const std::string theirs, pull(client, instance, file));
    if (theirs.empty()) continue;
    std::string& last = last_[instance + "\n" + file.path];
    const std::string hash = hash_of(theirs).to_hex();
    if (hash == last) continue;
    if (auto checked = agents::check_login(file, theirs); !checked) {
      log::warning("login file {} of {} stays inside: {}", file.path, instance, checked.error().describe());
      continue;
    }
    const fs::path target = home_ / file.path;
    TRY(sys::make_directories(target.parent_path(), 0700));
    TRY(sys::write_file(target, theirs, 0600));
    last = hash;
    log::info("login file {} of {} was stored", file.path, instance);
  }
  return {};
}

}  // namespace locki::sandbox
