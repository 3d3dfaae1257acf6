#include "sandbox/pool.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

constexpr int kVersion = 1;

Result<std::vector<Spare>> read(const std::filesystem::path& file) {
  std::vector<Spare> spares;
  const auto text = sys::read_file(file, 1 << 20);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return spares;
  if (!text) return fail(text.error());
  TRY_ASSIGN(const json::object o, json::parse_object(*text));
  TRY_ASSIGN(const std::int64_t version, json::get_int(o, "version"));
  if (version != kVersion) return fail(ErrorKind::kCorrupt, "the list of spare containers is of another version");
  TRY_ASSIGN(const json::array list, json::get_array(o, "spares"));
  for (const auto& item : list) {
    if (!item.is_object()) return fail(ErrorKind::kCorrupt, "the list of spare containers is damaged");
    Spare spare;
    TRY_ASSIGN(spare.instance, json::get_string(item.get_object(), "instance"));
    TRY_ASSIGN(spare.address, json::get_string(item.get_object(), "address"));
    TRY_ASSIGN(spare.fits, json::get_string(item.get_object(), "fits"));
    TRY_ASSIGN(spare.ready, json::get_bool(item.get_object(), "ready"));
    if (spare.ready) spares.push_back(std::move(spare));
  }
  return spares;
}

auto named(std::vector<Spare>& spares, const std::string& instance) {
  return std::find_if(spares.begin(), spares.end(), [&](const Spare& spare) { return spare.instance == instance; });
}

}  // namespace

Pool::Pool(std::filesystem::path file) : file_(std::move(file)) {
  auto spares = read(file_);
  if (spares) spares_ = std::move(*spares);
  else log::warning("{}", spares.error().describe());
}

std::vector<Spare> Pool::all() const {
  const std::scoped_lock lock(mutex_);
  return spares_;
}

std::size_t Pool::ready() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(spares_.begin(), spares_.end(), [](const Spare& spare) { return spare.ready; }));
}

Result<> Pool::save(std::vector<Spare> spares) {
  json::array list;
  for (const auto& spare : spares) {
    list.push_back(json::object{{"instance", spare.instance}, {"address", spare.address}, {"fits", spare.fits}, {"ready", spare.ready}});
  }
  TRY(sys::write_file(file_, json::pretty(json::object{{"version", kVersion}, {"spares", std::move(list)}}), 0600));
  spares_ = std::move(spares);
  return {};
}

Result<> Pool::add(Spare spare) {
  const std::scoped_lock lock(mutex_);
  auto spares = spares_;
  spares.push_back(std::move(spare));
  return save(std::move(spares));
}

Result<> Pool::note_ready(const std::string& instance) {
  const std::scoped_lock lock(mutex_);
  auto spares = spares_;
  const auto found = named(spares, instance);
  if (found == spares.end()) return fail(ErrorKind::kNotFound, "no such spare container");
  found->ready = true;
  return save(std::move(spares));
}

Result<> Pool::remove(const std::string& instance) {
  const std::scoped_lock lock(mutex_);
  auto spares = spares_;
  const auto found = named(spares, instance);
  if (found == spares.end()) return {};
  spares.erase(found);
  return save(std::move(spares));
}

Result<> Pool::clear() {
  const std::scoped_lock lock(mutex_);
  return spares_.empty() ? Result<>{} : save({});
}

Result<std::optional<Spare>> Pool::take(const std::string& fits) {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find_if(spares_.begin(), spares_.end(), [&](const Spare& spare) { return spare.ready && spare.fits == fits; });
  if (found == spares_.end()) return std::optional<Spare>{};
  const Spare taken = *found;
  auto rest = spares_;
  rest.erase(named(rest, taken.instance));
  TRY(save(std::move(rest)));
  return std::optional<Spare>{taken};
}

}  // namespace locki::sandbox
