#include "image/recipe.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "base/strings.h"
#include "sys/file.h"

namespace locki::image {

namespace fs = std::filesystem;

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kVmm: return "vmm";
    case Kind::kVm: return "vm";
    case Kind::kSandbox: return "sandbox";
  }
  return "";
}

namespace {

std::string_view without_comment(std::string_view line) { return trim(line.substr(0, line.find('#'))); }

Result<std::vector<std::string>> read_lines(const fs::path& file) {
  TRY_ASSIGN(const std::string text, sys::read_file(file, 1 << 20));
  std::vector<std::string> lines;
  for (const auto& line : split_lines(text)) {
    if (const auto kept = without_comment(line); !kept.empty()) lines.emplace_back(kept);
  }
  return lines;
}

// What is optional: an absent file is an empty one.
Result<std::vector<std::string>> read_lines_if_there(const fs::path& file) {
  auto lines = read_lines(file);
  if (!lines && lines.error().kind() == ErrorKind::kNotFound) return std::vector<std::string>{};
  return lines;
}

// Every name, kind, executable bit and byte beneath a directory, in a fixed order.
Result<> hash_tree(const fs::path& directory, Blake2& hash) {
  std::error_code error;
  std::set<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(directory, error)) paths.insert(entry.path());
  if (error) return fail(ErrorKind::kCorrupt, fmt::format("cannot read the recipe {}: {}", directory.native(), error.message()));
  for (const auto& path : paths) {
    const auto status = fs::symlink_status(path);
    const bool executable = (status.permissions() & fs::perms::owner_exec) != fs::perms::none;
    std::string content;
    if (fs::is_symlink(status)) {
      content = fs::read_symlink(path).native();
    } else if (fs::is_regular_file(status)) {
      TRY_ASSIGN(content, sys::read_file(path));
    }
    hash.update(fmt::format("{} {} {} {}\n", path.lexically_relative(directory).native(), static_cast<int>(status.type()), executable, content.size()));
    hash.update(content);
  }
  return {};
}

bool is_debian_suite(std::string_view suite) {
  static const std::set<std::string_view> kSuites{"bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldstable", "stable", "testing", "unstable"};
  return kSuites.contains(suite);
}

void take(Mirror& mirror, std::string_view uri, std::string_view suite, const std::vector<std::string>& components) {
  if (!uri.starts_with("http://") && !uri.starts_with("https://") && !uri.starts_with("file:")) return;
  if (std::find(components.begin(), components.end(), "main") == components.end()) return;
  const std::string_view base = suite.substr(0, suite.find_first_of("-/"));
  if (!is_debian_suite(base)) return;
  if (suite == base && mirror.main.empty()) mirror.main = uri;
  if ((suite == fmt::format("{}-security", base) || suite == fmt::format("{}/updates", base)) && mirror.security.empty()) mirror.security = uri;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    at = text.find_first_not_of(" \t", at);
    if (at == std::string_view::npos) break;
    // "[ option=value … ]" is one word.
    const std::size_t end = text[at] == '[' ? text.find(']', at) + 1 : text.find_first_of(" \t", at);
    out.emplace_back(text.substr(at, end == std::string_view::npos || end == 0 ? std::string_view::npos : end - at));
    if (end == std::string_view::npos || end == 0) break;
    at = end;
  }
  return out;
}

}  // namespace

Result<Recipe> load_recipe(const fs::path& directory, Kind kind) {
  const fs::path own = directory / to_string(kind);
  Recipe recipe;
  recipe.kind = kind;
  TRY_ASSIGN(const std::string variant, sys::read_file(own / "variant", 64));
  recipe.variant = trim(variant);
  TRY_ASSIGN(recipe.packages, read_lines(own / "packages"));
  TRY_ASSIGN(recipe.apt_options, read_lines(directory / "common/apt.conf"));
  TRY_ASSIGN(recipe.dpkg_options, read_lines(directory / "common/dpkg.cfg"));
  TRY_ASSIGN(const auto own_options, read_lines_if_there(own / "dpkg.cfg"));
  recipe.dpkg_options.insert(recipe.dpkg_options.end(), own_options.begin(), own_options.end());
  std::error_code error;
  std::set<fs::path> hooks;
  for (const auto& entry : fs::directory_iterator(own / "hooks", error)) hooks.insert(entry.path());
  for (const auto& hook : hooks) {
    TRY_ASSIGN(std::string text, sys::read_file(hook, 1 << 20));
    recipe.hooks.push_back(std::move(text));
  }
  if (fs::is_directory(own / "files", error)) recipe.files = own / "files";
  Blake2 hash;
  TRY(hash_tree(own, hash));
  TRY(hash_tree(directory / "common", hash));
  recipe.content_key = hash.finish().to_hex();
  return recipe;
}

Mirror mirror_in_list(std::string_view text) {
  Mirror mirror;
  for (const auto& line : split_lines(text)) {
    auto parts = words(without_comment(line));
    if (parts.size() > 1 && parts[1].starts_with("[")) parts.erase(parts.begin() + 1);
    if (parts.size() < 4 || parts[0] != "deb") continue;
    take(mirror, parts[1], parts[2], {parts.begin() + 3, parts.end()});
  }
  return mirror;
}

Mirror mirror_in_sources(std::string_view text) {
  Mirror mirror;
  std::map<std::string, std::string> fields;
  const auto stanza_ends = [&] {
    const auto types = words(fields["types"]);
    const bool wanted = std::find(types.begin(), types.end(), "deb") != types.end() && ascii_lower(trim(fields["enabled"])) != "no";
    const auto uris = words(fields["uris"]);
    if (wanted && !uris.empty()) {
      for (const auto& suite : words(fields["suites"])) take(mirror, uris.front(), suite, words(fields["components"]));
    }
    fields.clear();
  };
  std::string last;
  for (const auto& line : split_lines(text)) {
    if (trim(line).empty()) {
      stanza_ends();
    } else if (line[0] == '#') {
      continue;
    } else if (line[0] == ' ' || line[0] == '\t') {
      fields[last] += " " + std::string(trim(line));
    } else if (const auto colon = line.find(':'); colon != std::string::npos) {
      last = ascii_lower(line.substr(0, colon));
      fields[last] = trim(std::string_view(line).substr(colon + 1));
    }
  }
  stanza_ends();
  return mirror;
}

Result<Mirror> find_mirror(const std::string& configured, const fs::path& apt) {
  std::set<fs::path> files{apt / "sources.list"};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(apt / "sources.list.d", error)) files.insert(entry.path());
  Mirror found;
  for (const auto& file : files) {
    const std::string extension = file.extension();
    if (extension != ".list" && extension != ".sources") continue;
    auto text = sys::read_file(file, 1 << 20);
    if (!text) continue;
    const Mirror one = extension == ".list" ? mirror_in_list(*text) : mirror_in_sources(*text);
    if (found.main.empty()) found.main = one.main;
    if (found.security.empty()) found.security = one.security;
  }
  if (!configured.empty()) return Mirror{configured, found.main.empty() ? "" : found.security};
  if (found.main.empty()) {
    return fail(ErrorKind::kNotFound, "no Debian mirror in " + (apt / "sources.list").native() + " or beside it",
                "name one in the config: [image] mirror = \"http://…/debian\"");
  }
  return found;
}

std::string root_key(const Recipe& recipe, const Mirror& mirror, std::string_view maker) {
  Blake2 hash;
  // 4: the layout of what the builder leaves in a root's directory.
  hash.update(fmt::format("4\n{}\n{}\n{}\n{}\n{}\n{}\n", to_string(recipe.kind), recipe.content_key, mirror.main, mirror.security, kSuite, maker));
  return hash.finish().to_hex().substr(0, 16);
}

}  // namespace locki::image
