#include "gate/registries.h"

#include <algorithm>
#include <functional>

#include "base/strings.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::gate {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxFile = 1 << 20, kMaxRules = 200, kMaxFilesInADirectory = 200;

void add_url(std::vector<Endpoint>& found, std::string_view url) {
  if (auto parts = parse_url(trim(url))) found.push_back(std::move(parts->endpoint));
}

std::string_view unquoted(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  return text;
}

// "key = value" of INI-like files; key in lower case.
bool split_setting(std::string_view line, std::string& key, std::string_view& value) {
  line = trim(line);
  const std::size_t equals = line.find('=');
  if (line.empty() || line.front() == '#' || line.front() == ';' || equals == line.npos) return false;
  key = ascii_lower(trim(line.substr(0, equals)));
  value = trim(line.substr(equals + 1));
  return true;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t", at)) != text.npos) {
    const std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
    found.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return found;
}

// apt's methods may be stacked ("mirror+https://…"): the last one fetches.
void add_apt_uri(std::vector<Endpoint>& found, std::string_view uri) {
  const std::size_t scheme_end = uri.find("://");
  if (scheme_end == uri.npos) return;
  if (const std::size_t plus = uri.substr(0, scheme_end).rfind('+'); plus != uri.npos) uri.remove_prefix(plus + 1);
  add_url(found, uri);
}

using Parser = std::vector<Endpoint> (*)(std::string_view);

class Collector {
 public:
  explicit Collector(const ToolConfiguration& where) : where_(where) {}

  void file(const fs::path& path, std::string_view tool, Parser parser) {
    if (const auto text = sys::read_file(path, kMaxFile))
      add(parser(*text), std::string(tool) + " (" + shown(path) + ")");
  }
  void directory(const fs::path& path, std::string_view extension, std::string_view tool, Parser parser) {
    std::error_code error;
    std::vector<fs::path> files;
    for (fs::directory_iterator it(path, error), end; !error && it != end && files.size() < kMaxFilesInADirectory;
         it.increment(error))
      if (it->path().extension() == extension) files.push_back(it->path());
    std::sort(files.begin(), files.end());
    for (const fs::path& each : files) file(each, tool, parser);
  }
  void variable(const std::string& name, std::string_view tool, Parser parser) {
    if (const auto found = where_.environment.find(name); found != where_.environment.end())
      add(parser(found->second), std::string(tool) + " ($" + name + ")");
  }
  void add(std::vector<Endpoint> endpoints, const std::string& source) {
    for (Endpoint& endpoint : endpoints) {
      Rule rule{.allow = true, .host = std::move(endpoint.host), .source = source};
      if (endpoint.port != 80 && endpoint.port != 443) rule.port = endpoint.port;
      const bool known = std::any_of(rules_.begin(), rules_.end(),
                                     [&](const Rule& r) { return r.host == rule.host && r.port == rule.port; });
      // A rule for a name under .locki.internal would never be asked.
      if (!known && rules_.size() < kMaxRules && !rule.host.name.ends_with(".locki.internal"))
        rules_.push_back(std::move(rule));
    }
  }
  fs::path home(std::string_view relative) const { return where_.home / relative; }
  fs::path root(std::string_view relative) const { return where_.root / relative; }
  // $NAME when it is set, else the default beneath the home directory.
  fs::path directory_of(const std::string& name, std::string_view fallback) const {
    const auto found = where_.environment.find(name);
    return found != where_.environment.end() && found->second.starts_with('/') ? fs::path(found->second)
                                                                               : home(fallback);
  }
  std::vector<Rule> take() { return std::move(rules_); }

 private:
  std::string shown(const fs::path& path) const {
    const std::string text = path.string(), prefix = where_.home.string() + "/";
    return printable(text.starts_with(prefix) ? "~/" + text.substr(prefix.size()) : text, 100);
  }
  const ToolConfiguration& where_;
  std::vector<Rule> rules_;
};

std::vector<Endpoint> one_url(std::string_view text) {
  std::vector<Endpoint> found;
  for (const std::string& each : words(text)) add_url(found, each);
  return found;
}

void ask_npm(const ToolConfiguration& where, Collector& collect) {
  const auto npm = sys::find_program("npm");
  if (!npm) return;
  sys::ProcessSpec spec{
      .program = *npm, .args = {"config", "get", "registry"}, .environment = sys::clean_environment()};
  spec.environment["HOME"] = where.home.string();
  const auto answer = sys::run_ok(std::move(spec), {}, {.timeout = std::chrono::seconds(10), .max_output = 64 << 10});
  if (answer) collect.add(one_url(trim(*answer)), "npm (npm config get registry)");
}

void collect_npm(const ToolConfiguration& where, Collector& collect) {
  collect.file(collect.home(".npmrc"), "npm", hosts_in_npmrc);
  collect.file(collect.root("etc/npmrc"), "npm", hosts_in_npmrc);
  collect.file(collect.root("usr/etc/npmrc"), "npm", hosts_in_npmrc);
  collect.file(collect.root("usr/local/etc/npmrc"), "npm", hosts_in_npmrc);
  for (const char* name : {"npm_config_registry", "NPM_CONFIG_REGISTRY"}) collect.variable(name, "npm", one_url);
  if (where.run_npm) ask_npm(where, collect);
}

void collect_pip(Collector& collect) {
  collect.file(collect.directory_of("XDG_CONFIG_HOME", ".config") / "pip/pip.conf", "pip", hosts_in_pip_conf);
  collect.file(collect.home(".pip/pip.conf"), "pip", hosts_in_pip_conf);
  collect.file(collect.root("etc/pip.conf"), "pip", hosts_in_pip_conf);
  collect.file(collect.root("etc/xdg/pip/pip.conf"), "pip", hosts_in_pip_conf);
  for (const char* name :
       {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL"})
    collect.variable(name, "pip", one_url);
}

void collect_cargo(Collector& collect) {
  const fs::path cargo = collect.directory_of("CARGO_HOME", ".cargo");
  collect.file(cargo / "config.toml", "cargo", hosts_in_cargo_config);
  collect.file(cargo / "config", "cargo", hosts_in_cargo_config);
}

void collect_apt(Collector& collect) {
  collect.file(collect.root("etc/apt/sources.list"), "apt", hosts_in_apt_list);
  collect.directory(collect.root("etc/apt/sources.list.d"), ".list", "apt", hosts_in_apt_list);
  collect.directory(collect.root("etc/apt/sources.list.d"), ".sources", "apt", hosts_in_apt_sources);
}

void collect_go(Collector& collect) {
  collect.variable("GOPROXY", "go", hosts_in_goproxy);
  collect.file(collect.directory_of("XDG_CONFIG_HOME", ".config") / "go/env", "go", hosts_in_go_env);
}

}  // namespace

std::vector<Endpoint> hosts_in_npmrc(std::string_view text) {
  std::vector<Endpoint> found;
  std::string key;
  std::string_view value;
  for (const std::string& line : split_lines(text))
    if (split_setting(line, key, value) && (key == "registry" || (key.starts_with('@') && key.ends_with(":registry"))))
      add_url(found, unquoted(value));
  return found;
}

std::vector<Endpoint> hosts_in_pip_conf(std::string_view text) {
  std::vector<Endpoint> found;
  std::string key;
  std::string_view value;
  bool relevant = false;
  for (const std::string& line : split_lines(text)) {
    // As configparser has it: an indented line continues the value before.
    const bool continues = !line.empty() && (line.front() == ' ' || line.front() == '\t');
    if (continues) {
      value = line;
    } else {
      relevant =
          split_setting(line, key, value) && (key == "index-url" || key == "extra-index-url" || key == "find-links" ||
                                              key == "index_url" || key == "extra_index_url");
    }
    if (!relevant) continue;
    for (const std::string& url : words(trim(value))) add_url(found, url);
  }
  return found;
}

std::vector<Endpoint> hosts_in_apt_list(std::string_view text) {
  std::vector<Endpoint> found;
  for (const std::string& whole : split_lines(text)) {
    std::string_view line = trim(std::string_view(whole).substr(0, whole.find('#')));
    const std::size_t type_end = std::min(line.find_first_of(" \t["), line.size());
    const std::string_view type = line.substr(0, type_end);
    if (type != "deb" && type != "deb-src") continue;
    line = trim(line.substr(type_end));
    if (line.starts_with('[')) {
      const std::size_t end = line.find(']');
      if (end == line.npos) continue;
      line = trim(line.substr(end + 1));
    }
    add_apt_uri(found, line.substr(0, line.find_first_of(" \t")));
  }
  return found;
}

std::vector<Endpoint> hosts_in_apt_sources(std::string_view text) {
  std::vector<Endpoint> found, stanza;
  bool in_uris = false, enabled = true;
  const auto finish = [&] {
    if (enabled) found.insert(found.end(), stanza.begin(), stanza.end());
    stanza.clear();
    in_uris = false;
    enabled = true;
  };
  for (const std::string& line : split_lines(text)) {
    if (trim(line).empty()) {
      finish();
      continue;
    }
    if (line.front() == '#') continue;
    std::string_view value = line;
    if (line.front() != ' ' && line.front() != '\t') {
      const std::size_t colon = line.find(':');
      const std::string key = ascii_lower(line.substr(0, colon));
      value = colon == line.npos ? std::string_view() : std::string_view(line).substr(colon + 1);
      in_uris = key == "uris";
      if (key == "enabled") enabled = ascii_lower(trim(value)) != "no";
    }
    if (!in_uris) continue;
    for (const std::string& uri : words(trim(value))) add_apt_uri(stanza, uri);
  }
  finish();
  return found;
}

std::vector<Endpoint> hosts_in_goproxy(std::string_view value) {
  std::vector<Endpoint> found;
  std::string commas(value);
  std::replace(commas.begin(), commas.end(), '|', ',');
  for (const std::string& each : split(commas, ',')) add_url(found, each);  // "direct" and "off" are no URLs
  return found;
}

std::vector<Endpoint> hosts_in_go_env(std::string_view text) {
  std::vector<Endpoint> found;
  for (const std::string& line : split_lines(text)) {
    if (line.starts_with("GOPROXY="))
      for (Endpoint& each : hosts_in_goproxy(unquoted(std::string_view(line).substr(8))))
        found.push_back(std::move(each));
    // "NAME[+KEY] [URL]"
    if (line.starts_with("GOSUMDB="))
      for (const std::string& word : words(unquoted(std::string_view(line).substr(8)))) add_url(found, word);
  }
  return found;
}

std::vector<Rule> configured_registries(const ToolConfiguration& where) {
  Collector collect(where);
  collect_npm(where, collect);
  collect_pip(collect);
  collect_cargo(collect);
  collect_apt(collect);
  collect_go(collect);
  return collect.take();
}

}  // namespace locki::gate
