#include "mirror/state.h"

namespace locki::mirror {

std::string_view to_string(EntryKind kind) {
  switch (kind) {
    case EntryKind::kFile:
      return "file";
    case EntryKind::kDirectory:
      return "directory";
    case EntryKind::kSymlink:
      return "symlink";
  }
  return "unknown";
}

Entry Entry::file(std::uint64_t size, const Hash& content, bool executable) {
  return {.kind = EntryKind::kFile, .executable = executable, .size = size, .content = content};
}

Entry Entry::directory() { return {.kind = EntryKind::kDirectory}; }

Entry Entry::symlink(std::string target) {
  Entry entry{.kind = EntryKind::kSymlink, .size = target.size(), .content = hash_of(target)};
  entry.target = std::move(target);
  return entry;
}

std::vector<Change> diff(const State& from, const State& to) {
  std::vector<Change> changes;
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    if (b == to.end() || (a != from.end() && a->first < b->first)) {
      changes.push_back({a++->first, std::nullopt});
    } else if (a == from.end() || b->first < a->first) {
      changes.push_back({b->first, b->second});
      ++b;
    } else {
      if (a->second != b->second) changes.push_back({b->first, b->second});
      ++a, ++b;
    }
  }
  return changes;
}

void apply(State& state, const Change& change) {
  if (change.entry) {
    state.insert_or_assign(change.path, *change.entry);
  } else {
    state.erase(change.path);
  }
}

void apply(State& state, const std::vector<Change>& changes) {
  for (const Change& change : changes) apply(state, change);
}

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

void record(State& state, std::string_view path, const std::optional<Entry>& entry) {
  if (!entry || entry->kind != EntryKind::kDirectory) {
    const auto [first, last] = beneath(state, path);
    state.erase(first, last);
  }
  if (!entry) {
    if (const auto found = state.find(path); found != state.end()) state.erase(found);
    return;
  }
  state.insert_or_assign(std::string(path), *entry);
  for (std::string_view up = parent_of(path); !up.empty(); up = parent_of(up)) {
    const auto [at, made] = state.try_emplace(std::string(up), Entry::directory());
    if (!made && at->second.kind == EntryKind::kDirectory) return;
    at->second = Entry::directory();
  }
}

bool is_beneath(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

std::pair<State::const_iterator, State::const_iterator> beneath(const State& state, std::string_view directory) {
  const std::string first = std::string(directory) + '/';
  const std::string end = std::string(directory) + static_cast<char>('/' + 1);
  return {state.lower_bound(first), state.lower_bound(end)};
}

}  // namespace locki::mirror
