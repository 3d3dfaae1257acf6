#include "sandbox/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "base/strings.h"
#include "review/return_rules.h"
#include "sandbox/net_wishes.h"
#include "sys/file.h"

namespace locki::sandbox {

namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;

// Reads one table strictly: each value is asked for by name, and what nobody asked for is an error at the end.
class Reader {
 public:
  Reader(const toml::table& table, std::string name, std::string_view file, std::optional<Error>& error)
      : table_(table), name_(std::move(name)), file_(file), error_(error) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    for (const auto& [key, node] : table_) {
      if (known_.contains(std::string(key.str()))) continue;
      wrong(node, fmt::format("unknown setting \"{}{}\"", name_, printable(key.str())), "known here: " + join({known_.begin(), known_.end()}, ", "));
    }
  }

  const toml::node* find(const std::string& key) {
    known_.insert(key);
    return table_.get(key);
  }
  void text(const std::string& key, std::string& into, std::initializer_list<std::string_view> allowed = {}) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<std::string>();
    if (!value) return wrong(*node, fmt::format("\"{}{}\" must be a string", name_, key));
    if (allowed.size() > 0 && std::find(allowed.begin(), allowed.end(), *value) == allowed.end()) {
      return wrong(*node, fmt::format("\"{}{}\" is \"{}\"", name_, key, printable(*value)), "one of: " + join({allowed.begin(), allowed.end()}, ", "));
    }
    into = *value;
  }
  void flag(const std::string& key, bool& into) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<bool>();
    if (!value) return wrong(*node, fmt::format("\"{}{}\" must be true or false", name_, key));
    into = *value;
  }
  template <class T>
  void number(const std::string& key, T& into, std::uint64_t least, std::uint64_t most) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < least || static_cast<std::uint64_t>(*value) > most) {
      return wrong(*node, fmt::format("\"{}{}\" must be a whole number from {} to {}", name_, key, least, most));
    }
    into = static_cast<unsigned>(*value);
  }
  template <class T>
  void size(const std::string& key, T& into, std::uint64_t least) {
    const auto* node = find(key);
    if (node == nullptr) return;
    std::optional<std::uint64_t> value;
    if (const auto text = node->value_exact<std::string>()) value = parse_size(*text);
    if (!value || *value < least) {
      return wrong(*node, fmt::format("\"{}{}\" must be a size of at least {}", name_, key, human_bytes(least)), "write it as \"4GiB\" or \"512MiB\"");
    }
    into = *value;
  }
  void duration(const std::string& key, std::optional<std::chrono::seconds>& into) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto text = node->value_exact<std::string>();
    into = text ? parse_duration(*text) : std::nullopt;
    if (!into && text != "never") wrong(*node, fmt::format("\"{}{}\" must be a time of at least ten seconds", name_, key), "write it as \"30m\" or \"2h\", or \"never\"");
  }
  void list(const std::string& key, std::vector<std::string>& into) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    if (array == nullptr) return wrong(*node, fmt::format("\"{}{}\" must be a list of strings", name_, key));
    into.clear();
    for (const auto& item : *array) {
      const auto value = item.value_exact<std::string>();
      if (!value) return wrong(item, fmt::format("\"{}{}\" must be a list of strings", name_, key));
      into.push_back(*value);
    }
  }
  void map(const std::string& key, std::map<std::string, std::string>& into) {
    const auto* node = find(key);
    if (node == nullptr) return;
    const auto* table = node->as_table();
    if (table == nullptr) return wrong(*node, fmt::format("\"{}{}\" must be a table of strings", name_, key));
    for (const auto& [name, item] : *table) {
      const auto value = item.value_exact<std::string>();
      if (!value) return wrong(item, fmt::format("\"{}{}.{}\" must be a string", name_, key, printable(name.str())));
      into[std::string(name.str())] = *value;
    }
  }
  // A nested table, or an empty one when absent.
  const toml::table& table(const std::string& key) {
    static const toml::table kEmpty;
    const auto* node = find(key);
    if (node == nullptr) return kEmpty;
    if (const auto* found = node->as_table()) return *found;
    wrong(*node, fmt::format("\"{}{}\" must be a table", name_, key));
    return kEmpty;
  }

 private:
  void wrong(const toml::node& node, std::string message, std::string hint = "") {
    if (error_) return;
    error_ = Error(ErrorKind::kUsage, fmt::format("{}:{}: {}", file_, node.source().begin.line, message));
    if (!hint.empty()) error_->set_hint(std::move(hint));
  }

  const toml::table& table_;
  std::string name_;
  std::string_view file_;
  std::optional<Error>& error_;
  std::set<std::string> known_;
};

Result<toml::table> parse_toml(std::string_view text, std::string_view shown_name) {
  if (!is_utf8(text)) return fail(ErrorKind::kUsage, fmt::format("{} is not UTF-8 text", shown_name));
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const auto& error = parsed.error();
    return fail(ErrorKind::kUsage, fmt::format("{}:{}: {}", shown_name, error.source().begin.line, printable(error.description())));
  }
  return std::move(parsed).table();
}

void read_limits(Reader& reader, Limits& limits) {
  reader.number("cpus", limits.cpus, 1, 1024);
  reader.size("memory", limits.memory_bytes, 256ULL << 20);
  reader.size("disk", limits.disk_bytes, kGiB);
  reader.number("processes", limits.processes, 64, 1'000'000);
}

// Found when the file is read, not when a mirror fails to start.
std::optional<Error> wrong_pattern(const Config& config, std::string_view file) {
  review::ReturnRules rules;
  const auto first_wrong = [](const std::vector<std::string>& lines, const auto& add) -> std::optional<Error> {
    for (const auto& line : lines)
      if (Result<> added = add(line); !added) return std::move(added).error();
    return std::nullopt;
  };
  std::optional<Error> error;
  for (const auto* list : {&config.review_hold, &config.review_allow, &config.review_report})
    if (!error) error = first_wrong(*list, [&](const std::string& pattern) { return rules.report(pattern); });
  if (!error) error = first_wrong(config.review_ignore, [&](const std::string& line) { return rules.ignore(line); });
  if (error) error->add_context(fmt::format("in [review] of {}", file));
  return error;
}

}  // namespace

Host this_host() {
  Host host;
  host.cpus = std::max(1U, std::thread::hardware_concurrency());
  host.memory_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
  return host;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  const auto number = parse_u64(text.substr(0, digits));
  if (!number) return std::nullopt;
  std::string unit = digits == std::string_view::npos ? "" : ascii_lower(trim(text.substr(digits)));
  if (!unit.empty() && unit.back() == 'b') unit.pop_back();
  if (!unit.empty() && unit.back() == 'i') unit.pop_back();
  static const std::map<std::string, unsigned> kShifts{{"", 0}, {"k", 10}, {"m", 20}, {"g", 30}, {"t", 40}};
  const auto shift = kShifts.find(unit);
  if (shift == kShifts.end() || *number > (UINT64_MAX >> shift->second)) return std::nullopt;
  return *number << shift->second;
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  static const std::map<std::string, std::uint64_t> kUnits{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  const auto digits = text.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) return std::nullopt;
  const auto number = parse_u64(text.substr(0, digits));
  const auto unit = kUnits.find(std::string(trim(text.substr(digits))));
  constexpr std::uint64_t kYear = 366 * 86400;
  if (!number || unit == kUnits.end() || *number > kYear || *number * unit->second < 10 || *number * unit->second > kYear) return std::nullopt;
  return std::chrono::seconds(*number * unit->second);
}

Result<Config> parse_config(std::string_view text, std::string_view shown_name, const Host& host) {
  TRY_ASSIGN(const toml::table root, parse_toml(text, shown_name));
  Config config;
  config.vm.cpus = std::min(host.cpus, 8U);
  config.vm.memory_bytes = std::clamp(host.memory_bytes / 2, 2 * kGiB, 16 * kGiB);
  config.vm.disk_bytes = 64 * kGiB;
  std::optional<Error> error;
  {
    Reader top(root, "", shown_name, error);
    {
      Reader vm(top.table("vm"), "vm.", shown_name, error);
      vm.number("cpus", config.vm.cpus, 1, 1024);
      vm.size("memory", config.vm.memory_bytes, kGiB);
      vm.size("disk", config.vm.disk_bytes, 8 * kGiB);
      vm.text("accelerator", config.vm.accelerator, {"auto", "kvm", "tcg"});
      vm.duration("idle", config.vm.idle);
      vm.list("agents", config.vm.agents);
    }
    config.defaults = {config.vm.cpus, config.vm.memory_bytes * 3 / 4, config.vm.disk_bytes / 2, 8192};
    config.ceiling = {config.vm.cpus, config.vm.memory_bytes, config.vm.disk_bytes, 65536};
    {
      Reader sandbox(top.table("sandbox"), "sandbox.", shown_name, error);
      read_limits(sandbox, config.defaults);
      sandbox.number("pool", config.pool, 0, 16);
      Reader ceiling(sandbox.table("ceiling"), "sandbox.ceiling.", shown_name, error);
      read_limits(ceiling, config.ceiling);
    }
    {
      Reader net(top.table("net"), "net.", shown_name, error);
      net.text("mode", config.net.mode, {"gate", "ask", "open", "off"});
      net.number("ask_seconds", config.net.ask_seconds, 1, 3600);
      net.flag("notify", config.net.notify);
      net.list("allow", config.net.allow);
      net.list("deny", config.net.deny);
      net.map("services", config.net.services);
      net.text("upstream", config.net.upstream);
    }
    {
      Reader image(top.table("image"), "image.", shown_name, error);
      image.text("mirror", config.mirror);
    }
    {
      Reader git(top.table("git"), "git.", shown_name, error);
      git.number("max_history", config.max_history, 0, 100'000'000);
      git.size("share_history", config.share_history, 1);
    }
    {
      Reader mirror(top.table("mirror"), "mirror.", shown_name, error);
      mirror.list("include", config.include);
    }
    {
      Reader review(top.table("review"), "review.", shown_name, error);
      review.list("hold", config.review_hold);
      review.list("allow", config.review_allow);
      review.list("report", config.review_report);
      review.list("ignore", config.review_ignore);
      if (!error) error = wrong_pattern(config, shown_name);
    }
    const toml::table& agents = top.table("agents");
    for (const auto& [name, node] : agents) {
      if (const auto* table = node.as_table()) {
        Reader agent(*table, fmt::format("agents.{}.", std::string_view(name.str())), shown_name, error);
        agent.map("environment", config.agent_environment[std::string(name.str())]);
      }
    }
  }
  if (error) return fail(std::move(*error));
  return config;
}

Result<Config> load_config(const std::filesystem::path& file, const Host& host) {
  auto text = sys::read_file(file, 1 << 20);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return parse_config("", "", host);
  if (!text) return fail(std::move(text).error());
  return parse_config(*text, printable(file.native()), host);
}

Result<Wishes> parse_wishes(std::string_view text) {
  if (text.size() > 65536) return fail(ErrorKind::kUsage, "locki.toml is larger than 64 KiB");
  TRY_ASSIGN(const toml::table root, parse_toml(text, "locki.toml"));
  Wishes wishes;
  std::vector<std::string> hosts;
  std::optional<Error> error;
  {
    Reader top(root, "", "locki.toml", error);
    Reader sandbox(top.table("sandbox"), "sandbox.", "locki.toml", error);
    sandbox.number("cpus", wishes.cpus, 1, 1024);
    sandbox.size("memory", wishes.memory_bytes, 256ULL << 20);
    sandbox.size("disk", wishes.disk_bytes, kGiB);
    sandbox.number("processes", wishes.processes, 64, 1'000'000);
    Reader net(top.table("net"), "net.", "locki.toml", error);
    net.list("allow", hosts);
  }
  if (error) return fail(std::move(*error));
  TRY_ASSIGN(wishes.net, context(parse_net_wishes(hosts), "reading locki.toml"));
  return wishes;
}

Limits limits_for(const Config& config, const Wishes& wishes, std::vector<std::string>* cut) {
  const auto pick = [&](auto standard, const auto& wish, auto most, const char* name) {
    auto value = wish.value_or(standard);
    if (value > most) {
      if (wish && cut != nullptr) cut->push_back(name);
      value = most;
    }
    return value;
  };
  return {pick(config.defaults.cpus, wishes.cpus, config.ceiling.cpus, "cpus"),
          pick(config.defaults.memory_bytes, wishes.memory_bytes, config.ceiling.memory_bytes, "memory"),
          pick(config.defaults.disk_bytes, wishes.disk_bytes, config.ceiling.disk_bytes, "disk"),
          pick(config.defaults.processes, wishes.processes, config.ceiling.processes, "processes")};
}

}  // namespace locki::sandbox
