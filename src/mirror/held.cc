#include "mirror/held.h"

#include <algorithm>

#include "base/log.h"
#include "sys/fault.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::size_t kMaxFile = 256 << 20;
constexpr std::size_t kMaxAcceptedOfPath = 100;

const std::filesystem::path kName = "held.json";

}  // namespace

std::string content_id(const Entry& entry) {
  std::string out(to_string(entry.kind));
  if (entry.kind == EntryKind::kFile) out += entry.executable ? "+x" : "-x";
  return out + ":" + entry.content.to_hex();
}

std::string HeldFile::content_id() const { return mirror::content_id(entry); }

json::object to_json(const HeldFile& file) {
  return {{"path", file.path},
          {"kind", to_string(file.entry.kind)},
          {"executable", file.entry.executable},
          {"size", file.entry.size},
          {"content", file.entry.content.to_hex()},
          {"target", file.entry.target},
          {"why", file.why},
          {"version", file.version}};
}

Result<HeldFile> held_file_from_json(const json::object& o) {
  HeldFile file;
  TRY_ASSIGN(file.path, json::get_string(o, "path"));
  TRY_ASSIGN(const std::string kind, json::get_string(o, "kind"));
  TRY_ASSIGN(file.entry.executable, json::get_bool(o, "executable"));
  TRY_ASSIGN(const std::int64_t size, json::get_int(o, "size"));
  TRY_ASSIGN(const std::string content, json::get_string(o, "content"));
  TRY_ASSIGN(file.entry.target, json::get_string(o, "target"));
  TRY_ASSIGN(file.why, json::get_string(o, "why"));
  TRY_ASSIGN(file.version, json::get_string(o, "version"));
  const auto hash = Hash::from_hex(content);
  const auto kinds = {EntryKind::kFile, EntryKind::kDirectory, EntryKind::kSymlink};
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](EntryKind k) { return to_string(k) == kind; });
  if (!hash || size < 0 || found == kinds.end()) return fail(ErrorKind::kProtocol, "a held file is not described as one");
  file.entry.kind = *found;
  file.entry.content = *hash;
  file.entry.size = static_cast<std::uint64_t>(size);
  return file;
}

namespace {

Result<json::object> read_json(const std::filesystem::path& file) {
  TRY_ASSIGN(const std::string text, sys::read_file(file, kMaxFile));
  return json::parse_object(text, kMaxFile);
}

Result<std::vector<HeldFile>> held_of(const json::object& o) {
  TRY_ASSIGN(const json::array list, json::get_array(o, "held"));
  std::vector<HeldFile> files;
  for (const json::value& item : list) {
    if (!item.is_object()) return fail(ErrorKind::kProtocol, "a held file is not described as one");
    TRY_ASSIGN(files.emplace_back(), held_file_from_json(item.get_object()));
  }
  return files;
}

}  // namespace

Result<std::vector<HeldFile>> HeldStore::read(const std::filesystem::path& directory) {
  auto o = read_json(directory / kName);
  if (!o && o.error().kind() == ErrorKind::kNotFound) return std::vector<HeldFile>{};
  if (!o) return fail(std::move(o).error());
  return held_of(*o);
}

HeldStore HeldStore::open(const std::filesystem::path& directory) {
  HeldStore store(directory / kName);
  const auto o = read_json(store.file_);
  if (!o) {
    if (o.error().kind() != ErrorKind::kNotFound) log::warning("what was held is forgotten: {}", o.error().describe());
    return store;
  }
  if (auto files = held_of(*o)) {
    for (HeldFile& file : *files) store.files_[file.path] = std::move(file);
  }
  if (const json::object* accepted = json::object_or_null(*o, "accepted")) {
    for (const auto& [path, ids] : *accepted) {
      if (!ids.is_array()) continue;
      for (const json::value& id : ids.get_array())
        if (id.is_string()) store.accepted_[std::string(path)].emplace(id.get_string());
    }
  }
  if (const json::array* marked = json::array_or_null(*o, "marked")) {
    for (const json::value& path : *marked)
      if (path.is_string()) store.marked_.emplace(path.get_string());
  }
  return store;
}

bool HeldStore::accepted(const std::string& path, const Entry& entry) const {
  const auto found = accepted_.find(path);
  return found != accepted_.end() && found->second.contains(mirror::content_id(entry));
}

void HeldStore::put(HeldFile file) {
  changed_ = true;
  std::string path = file.path;
  files_.insert_or_assign(std::move(path), std::move(file));
}

void HeldStore::erase(const std::string& path) { changed_ |= files_.erase(path) > 0; }

Result<> HeldStore::accept(const std::string& path, const std::string& content_id) {
  const auto found = files_.find(path);
  if (found == files_.end()) return fail(ErrorKind::kConflict, "'" + printable(path) + "' is not held");
  if (found->second.content_id() != content_id)
    return fail(ErrorKind::kConflict, "'" + printable(path) + "' has changed since it was shown");
  auto& ids = accepted_[path];
  if (ids.size() >= kMaxAcceptedOfPath) ids.clear();
  ids.insert(content_id);
  changed_ = true;
  return {};
}

void HeldStore::set_marked(std::set<std::string> paths) {
  changed_ |= paths != marked_;
  marked_ = std::move(paths);
}

Result<> HeldStore::save() {
  if (!changed_) return {};
  json::array held, marked;
  for (const auto& [path, file] : files_) held.emplace_back(to_json(file));
  for (const std::string& path : marked_) marked.emplace_back(path);
  json::object accepted;
  for (const auto& [path, ids] : accepted_) {
    json::array list;
    for (const std::string& id : ids) list.emplace_back(id);
    accepted[path] = std::move(list);
  }
  sys::fault_point("held.save");
  TRY(sys::write_file(file_,
                      json::serialize(json::object{{"held", std::move(held)},
                                                   {"accepted", std::move(accepted)},
                                                   {"marked", std::move(marked)}}),
                      0600));
  changed_ = false;
  return {};
}

}  // namespace locki::mirror
