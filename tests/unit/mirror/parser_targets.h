// One function a parser of hostile bytes: feeds it anything and aborts when what comes out breaks its promises. Shared by the mutation test, which runs
// everywhere, and the fuzz targets, which need clang.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "git/unfold.h"
#include "mirror/door.h"
#include "mirror/held.h"
#include "mirror/names.h"
#include "mirror/wire.h"
#include "review/hold_rules.h"
#include "review/links.h"

namespace locki::mirror::testing {

inline void require(bool holds) {
  if (!holds) std::abort();
}

// Frames: what is decoded is bounded, says the same when it is encoded again, and is judged by the door without surprise.
inline void wire_target(std::string_view bytes) {
  wire::Decoder decoder;
  Door door;
  const auto now = Door::Clock::now();
  // In pieces, as a pipe gives them.
  for (std::size_t at = 0; at < bytes.size(); at += 7) {
    decoder.feed(as_bytes(bytes.substr(at, 7)));
    for (;;) {
      auto frame = decoder.next();
      if (!frame) return;
      if (!*frame) break;
      const std::string again = wire::encode((*frame)->message);
      wire::Decoder second;
      second.feed(as_bytes(again));
      const auto same = second.next();
      require(same && *same && wire::encode((*same)->message) == again);
      if (!door.admit((*frame)->message, (*frame)->payload_size, now)) return;
      if (const auto* entries = std::get_if<wire::Entries>(&(*frame)->message)) {
        for (const auto& listed : entries->entries) require(!path_rules::why_bad_path(listed.path));
      }
    }
  }
}

// Names: what passes is plain on every file system; folding is settled after one time; rules and links take anything.
inline void names_target(std::string_view bytes) {
  static const review::HoldRules rules = *review::HoldRules::parse(".vscode/  why\n*.code-workspace  why\n.github/instructions/  why\nmise.*.toml  why\n");
  const auto newline = bytes.find('\n');
  const std::string_view path = bytes.substr(0, newline);
  const std::string_view target = newline == std::string_view::npos ? "" : bytes.substr(newline + 1);
  if (!path_rules::why_bad_path(path)) {
    require(is_utf8(path) && path.front() != '/' && path.back() != '/' && path.size() <= path_rules::kMaxPath);
    for (const std::string& part : split(path, '/')) {
      require(part != "." && part != ".." && !part.empty() && !path_rules::is_dotgit(part));
      require(path_rules::fold(path_rules::fold(part)) == path_rules::fold(part));
      require(ascii_lower(part) != ".git");
    }
    const bool held = rules.why(path).has_value();
    require(!held || rules.why_link(path));
    require(rules.why(ascii_lower(path)).has_value() == held);
    if (!path_rules::why_bad_symlink(path, target)) {
      require(target.front() != '/');
      review::Links links;
      links.add(path, target);
      const auto names = links.names_of(path);
      require(!names || names->front() == path);
    }
  }
  (void)review::glob_matches(path.substr(0, 64), target.substr(0, 256));
  review::HoldRules any;
  (void)any.hold(path, "why");
  (void)any.why("a/b/c");
}

// Raw trees: entries that lie within the bytes, with a mode, a name and an id each.
inline void tree_target(std::string_view bytes) {
  for (const std::size_t id_bytes : {20U, 32U}) (void)git::parse_tree(bytes, id_bytes);
}

// The file that the worker writes and the daemon reads.
inline void held_target(std::string_view bytes) {
  const auto o = json::parse_object(bytes, 1 << 20);
  if (!o) return;
  const auto file = held_file_from_json(*o);
  if (!file) return;
  const auto again = held_file_from_json(to_json(*file));
  require(again && again->path == file->path && again->entry == file->entry && again->content_id() == file->content_id());
}

}  // namespace locki::mirror::testing
