#include "sandbox/record.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace fs = std::filesystem;

Result<> check_name(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" cannot name a sandbox: {}", printable(name, 80), why),
                "use letters, digits and - _ . /, as in: my-feature or fix/login");
  };
  if (name.empty()) return refuse("it is empty");
  if (name.size() > 100) return refuse("it is longer than 100 characters");
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '_' && c != '.' && c != '/') return refuse("only letters, digits and - _ . / are taken");
  }
  for (const auto& part : split(name, '/')) {
    if (part.empty()) return refuse("it has an empty part");
    if (part.front() == '.' || part.front() == '-') return refuse("a part begins with . or -");
    if (part.back() == '.' || part.ends_with(".lock")) return refuse("a part ends with . or .lock");
    if (part.find("..") != std::string::npos) return refuse("it has two dots in a row");
  }
  if (ascii_lower(name) == "head") return refuse("git uses that name itself");
  return {};
}

json::object to_json(const Record& record) {
  json::array agents;
  for (const auto& agent : record.agents) agents.emplace_back(agent);
  json::object branches;
  for (const auto& [name, tip] : record.other_branches) branches[name] = tip;
  return {{"version", Record::kVersion},
          {"id", record.id},
          {"name", record.name},
          {"repo", record.repo},
          {"git_dir", record.git_dir},
          {"worktree", record.worktree},
          {"base", record.base},
          {"instance", record.instance},
          {"address", record.address},
          {"created", record.created},
          {"agents", std::move(agents)},
          {"cloned", record.cloned},
          {"incarnation", record.incarnation},
          {"settled", record.settled},
          {"cloned_at", record.cloned_at},
          {"cloned_when", record.cloned_when},
          {"rested", record.rested},
          {"rested_tip", record.rested_tip},
          {"other_branches", std::move(branches)},
          {"stashes", record.stashes},
          {"programs", record.programs},
          {"made_branch", record.made_branch},
          {"upstream_of", record.upstream_of}};
}

Result<Record> record_from_json(const json::object& o) {
  TRY_ASSIGN(const auto version, json::get_int(o, "version"));
  if (version != Record::kVersion) {
    return fail(ErrorKind::kCorrupt, fmt::format("the record has version {}, this locki reads {}", version, Record::kVersion),
                "use the locki that wrote it, or remove the sandbox with it");
  }
  Record record;
  TRY_ASSIGN(record.id, json::get_string(o, "id"));
  TRY_ASSIGN(record.name, json::get_string(o, "name"));
  TRY_ASSIGN(record.repo, json::get_string(o, "repo"));
  TRY_ASSIGN(record.git_dir, json::get_string(o, "git_dir"));
  TRY_ASSIGN(record.worktree, json::get_string(o, "worktree"));
  TRY_ASSIGN(record.base, json::get_string(o, "base"));
  TRY_ASSIGN(record.instance, json::get_string(o, "instance"));
  TRY_ASSIGN(record.address, json::get_string(o, "address"));
  TRY_ASSIGN(record.created, json::get_string(o, "created"));
  TRY_ASSIGN(const json::array agents, json::get_array(o, "agents"));
  for (const auto& agent : agents) {
    if (agent.is_string()) record.agents.insert(std::string(agent.get_string().c_str()));
  }
  TRY_ASSIGN(record.cloned, json::get_bool(o, "cloned"));
  TRY_ASSIGN(record.incarnation, json::get_string(o, "incarnation"));
  TRY_ASSIGN(record.settled, json::get_bool(o, "settled"));
  record.cloned_at = json::string_or(o, "cloned_at");
  record.cloned_when = json::int_or(o, "cloned_when");
  record.rested = json::int_or(o, "rested");
  record.rested_tip = json::string_or(o, "rested_tip");
  if (const auto* branches = json::object_or_null(o, "other_branches")) {
    for (const auto& [name, tip] : *branches) {
      if (tip.is_string()) record.other_branches.emplace(name, tip.get_string());
    }
  }
  record.stashes = json::int_or(o, "stashes");
  record.programs = json::string_or(o, "programs");
  TRY_ASSIGN(record.made_branch, json::get_bool(o, "made_branch"));
  record.upstream_of = json::string_or(o, "upstream_of");
  TRY(check_name(record.name));
  return record;
}

std::string RecordStore::id_of(std::string_view git_dir, std::string_view name) {
  Blake2 hash;
  hash.update(git_dir);
  hash.update(std::string_view("\0", 1));
  hash.update(name);
  return hash.finish().to_hex().substr(0, 12);
}

Result<std::string> RecordStore::free_address(const std::string& id, const std::set<std::string>& taken) {
  constexpr std::size_t kAll = kAddressBlocks * kAddressesPerBlock;
  // The id is as good as random.
  const std::size_t first = Hash::Hasher()(hash_of(id)) % kAll;
  for (std::size_t i = 0; i < kAll; ++i) {
    const std::size_t number = (first + i) % kAll;
    std::string address = fmt::format("10.77.{}.{}", 1 + number / kAddressesPerBlock, 1 + number % kAddressesPerBlock);
    if (!taken.contains(address)) return address;
  }
  return fail(ErrorKind::kNoSpace, fmt::format("there are {} sandboxes, and addresses for no more", taken.size()), "locki list --all shows them; locki rm NAME removes one");
}

Result<std::vector<Record>> RecordStore::list(std::vector<std::string>* broken) const {
  std::vector<Record> records;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    const std::string id = entry.path().filename();
    if (!fs::exists(entry.path() / "record.json")) continue;
    auto record = load(id);
    if (record) {
      records.push_back(std::move(*record));
    } else if (broken != nullptr) {
      broken->push_back(id + ": " + record.error().describe());
    }
  }
  std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return std::tie(a.repo, a.name) < std::tie(b.repo, b.name); });
  return records;
}

Result<Record> RecordStore::load(const std::string& id) const {
  const fs::path file = directory_ / id / "record.json";
  TRY_ASSIGN(const std::string text, sys::read_file(file, 1 << 20));
  TRY_ASSIGN(const json::object o, context(json::parse_object(text), "reading " + printable(file.native())));
  TRY_ASSIGN(Record record, context(record_from_json(o), "reading " + printable(file.native())));
  if (record.id != id) return fail(ErrorKind::kCorrupt, printable(file.native()) + " belongs to another sandbox");
  return record;
}

Result<> RecordStore::save(const Record& record) const {
  TRY(sys::make_directories(directory_ / record.id, 0700));
  return sys::write_file(directory_ / record.id / "record.json", json::pretty(to_json(record)) + "\n", 0600);
}

Result<> RecordStore::remove(const std::string& id) const { return sys::remove_tree(directory_ / id); }

}  // namespace locki::sandbox
