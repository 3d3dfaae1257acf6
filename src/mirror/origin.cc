#include "mirror/origin.h"

#include <vector>

#include "base/strings.h"
#include "git/blobs.h"
#include "mirror/names.h"

namespace locki::mirror {
namespace {

constexpr std::size_t kMaxListing = 512 << 20;
constexpr std::uint64_t kMaxTarget = 4096;

struct Listed {
  std::string path;
  std::string mode;
};

}  // namespace

Result<State> state_of_commit(const git::Repository& repository, const git::ObjectId& commit,
                              const std::set<std::string>& wanted, std::uint64_t max_file) {
  State state;
  if (wanted.empty()) return state;
  const auto command = [&](std::vector<std::string> args) { return repository.common_command(std::move(args)); };
  TRY_ASSIGN(const std::string tree,
             sys::run_ok(command({"ls-tree", "-r", "-z", "--full-tree", commit}), {},
                         {.timeout = std::chrono::minutes(5), .max_output = kMaxListing}));
  std::vector<Listed> listed;
  std::vector<git::ObjectId> blobs;
  for (const std::string& record : split(tree, '\0')) {
    // "<mode> <type> <oid>\t<path>"
    const auto tab = record.find('\t');
    const auto words = split(std::string_view(record).substr(0, tab == std::string::npos ? 0 : tab), ' ');
    if (words.size() != 3 || words[1] != "blob") continue;
    std::string path = record.substr(tab + 1);
    for (std::string_view up = parent_of(path); !up.empty(); up = parent_of(up))
      if (wanted.contains(std::string(up))) state.emplace(up, Entry::directory());
    if (!wanted.contains(path) || !check_path(path)) continue;
    listed.push_back({std::move(path), words[0]});
    blobs.push_back(words[2]);
  }
  TRY(git::read_blobs(command, blobs, max_file, [&](std::size_t index, std::string_view content) {
    const Listed& file = listed[index];
    if (file.mode != "120000") {
      state.emplace(file.path, Entry::file(content.size(), hash_of(content), file.mode == "100755"));
    } else if (content.size() <= kMaxTarget && check_symlink(file.path, content)) {
      state.emplace(file.path, Entry::symlink(std::string(content)));
    }
  }));
  return state;
}

}  // namespace locki::mirror
