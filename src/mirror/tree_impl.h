// Inside of mirror/tree.h, shared by its halves: tree_scan.cc (reading), tree_apply.cc and tree_move.cc (changing).
// Not for anybody else.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "mirror/staging.h"
#include "mirror/tree.h"
#include "mirror/tree_cache.h"
#include "mirror/tree_ignore.h"

namespace locki::mirror {

bool any_beneath(const std::set<std::string, std::less<>>& paths, std::string_view directory);

// What is on disk at one path.
struct Found {
  enum class What { kNothing, kEntry, kUntravelled, kUnreadable };
  What what = What::kNothing;
  Entry entry;         // kEntry
  sys::FileStat stat;  // unless kNothing
  std::string reason;  // kUntravelled, kUnreadable
};

struct Tree::Impl {
  std::filesystem::path path;
  TreeOptions options;
  sys::Directory root;
  sys::FileStat root_stat;
  IgnoreRules rules;
  StatCache cache;
  Staging staging;
  bool swept = false;
  bool scanned = false;
  bool cache_dirty = false;

  State state;
  std::map<std::string, std::string> skipped;
  std::set<std::string, std::less<>> kept;     // keep()
  std::set<std::string, std::less<>> include;  // options.include, as a set
  std::set<std::string, std::less<>> ignored;  // what git said: files, and directories as a whole
  std::set<std::string, std::less<>> held;     // options.hold_ignored: what git ever ignored here

  Impl(std::filesystem::path root_path, TreeOptions given, sys::Directory directory);

  bool alive() const;
  void skip(std::string_view at, std::string reason);
  void load_cache();
  Result<> save_cache();

  // ---- which paths belong (tree_rules.cc) ----
  bool is_excluded(std::string_view at) const;
  bool is_included(std::string_view at) const;
  // In the state already, or named by keep(): travels whatever the rules say now.
  bool is_agreed(std::string_view at) const;
  bool is_ignored(std::string_view at) const;
  bool has_wanted_beneath(std::string_view at) const;
  // It or a directory above it is ignored (and not included): only agreed paths beneath it travel.
  bool is_in_ignored(std::string_view at) const;
  void remember_ignored(const std::set<std::string>& fresh);

  // ---- reading (tree_scan.cc) ----
  // The object at a spot; hashes it when the cache cannot say. `at` is its path from the root.
  Found look(const sys::Directory::Spot& spot, const std::string& at);

  // ---- changing (tree_apply.cc) ----
  // After an apply: the state says so, and the parents are known.
  void record(const std::string& at, const std::optional<Entry>& entry);
};

}  // namespace locki::mirror
