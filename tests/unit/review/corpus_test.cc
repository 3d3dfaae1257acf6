// The return gate on a corpus of trees as data: tests/review_corpus/bad must be found with exactly the findings that each names, good must be clean.
// A case: "expect SEVERITY RULE PATH" lines, then "== before|after PATH MODE" and the content; \xNN stands for a byte, in paths, too.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "review/judge.h"
#include "sys/file.h"

namespace locki::review {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = LOCKI_SOURCE_DIR;

Rules shipped_rules() {
  auto held = HoldRules::parse(*sys::read_file(kSource / "share/review/held.rules"));
  auto ret = ReturnRules::parse(*sys::read_file(kSource / "share/review/return.rules"));
  EXPECT_TRUE(held && ret) << (ret ? "" : ret.error().describe());
  return {std::move(*held), std::move(*ret)};
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto bytes = text.substr(i, 2) == "\\x" ? unhex(text.substr(i + 2, 2)) : std::nullopt;
    if (bytes && bytes->size() == 1) {
      out += static_cast<char>(bytes->front());
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Case {
  std::set<std::string> expected;
  std::map<std::string, Change> changes;
};

Case load(const fs::path& file) {
  Case out;
  Version* version = nullptr;
  for (const std::string& line : split_lines(*sys::read_file(file))) {
    const auto words = split(line, ' ');
    if (line.starts_with("== ")) {
      EXPECT_EQ(words.size(), 4u) << file << ": " << line;
      const std::string path = decoded(words[2]);
      Change& change = out.changes[path];
      change.path = path;
      version = words[1] == "before" ? &change.before : &change.after;
      version->mode = static_cast<std::uint32_t>(std::stoul(words[3], nullptr, 8));
    } else if (version != nullptr) {
      version->content += decoded(line) + "\n";
      if (version->mode == kModeSymlink) version->content.pop_back();
    } else if (line.starts_with("expect ")) {
      out.expected.insert(decoded(line.substr(7)));
    } else {
      EXPECT_TRUE(line.starts_with("# ")) << file << ": " << line;
    }
  }
  return out;
}

std::set<std::string> found_in(const Case& tree, const Rules& rules) {
  Surroundings around;
  std::set<std::string> heads;
  for (const auto& [path, change] : tree.changes) {
    for (const Version* version : {&change.before, &change.after})
      if (version->mode == kModeSymlink) around.links.add(path, version->content);
    if (change.before.mode != 0 && path.ends_with("/HEAD")) heads.insert(path.substr(0, path.size() - 5));
  }
  around.host_has_head = [heads](std::string_view directory) { return heads.contains(std::string(directory)); };
  std::set<std::string> found;
  for (const auto& [path, change] : tree.changes)
    for (const Finding& finding : judge(change, rules, around)) {
      EXPECT_FALSE(finding.why.empty());
      found.insert(std::string(to_string(finding.severity)) + " " + finding.rule + " " + finding.path);
    }
  return found;
}

std::vector<fs::path> cases(const char* kind) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kSource / "tests/review_corpus" / kind)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

TEST(ReviewCorpus, EveryBadTreeIsFoundByItsRules) {
  const Rules rules = shipped_rules();
  const auto files = cases("bad");
  EXPECT_GT(files.size(), 60u);
  for (const fs::path& file : files) {
    const Case tree = load(file);
    EXPECT_FALSE(tree.expected.empty()) << file;
    EXPECT_EQ(found_in(tree, rules), tree.expected) << file;
  }
}

TEST(ReviewCorpus, EveryGoodTreeIsClean) {
  const Rules rules = shipped_rules();
  const auto files = cases("good");
  EXPECT_GT(files.size(), 20u);
  for (const fs::path& file : files) EXPECT_EQ(found_in(load(file), rules), std::set<std::string>{}) << file;
}

// Each rule that ships is there because some case needs it: a rule's name that no case expects is untested.
TEST(ReviewCorpus, HasACaseForEveryCheck) {
  std::set<std::string> expected;
  for (const fs::path& file : cases("bad"))
    for (const std::string& line : load(file).expected) expected.insert(split(line, ' ')[1]);
  for (const char* rule : {"direction", "invisible", "controls", "name", "opaque", "program", "executable", "symlink", "submodule", "ci", "held", "npm-install", "lock-sources", "build", "removed", "go-sources",
                           "rust-sources", "py-build"})
    EXPECT_TRUE(expected.contains(rule)) << rule;
}

}  // namespace
}  // namespace locki::review
