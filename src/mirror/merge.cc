#include "mirror/merge.h"

#include <cstring>

#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::size_t kMaxText = 8 << 20;

bool is_text(const std::string& content) {
  // As git does (buffer_is_binary): a NUL within the first 8000 bytes.
  return content.size() <= kMaxText &&
         std::memchr(content.data(), 0, std::min<std::size_t>(content.size(), 8000)) == nullptr;
}

}  // namespace

Result<std::optional<std::string>> merge_text(const git::Program& program, const std::filesystem::path& scratch,
                                              const std::string& base, const std::string& host,
                                              const std::string& sandbox) {
  if (!is_text(base) || !is_text(host) || !is_text(sandbox)) return std::nullopt;
  TRY_ASSIGN(const auto directory, sys::TemporaryDirectory::make(scratch, "merge"));
  const auto file = [&](const char* name, const std::string& content) -> Result<std::string> {
    TRY(sys::create_secret(directory.path() / name, content));
    return (directory.path() / name).string();
  };
  TRY_ASSIGN(const std::string ours, file("host", host));
  TRY_ASSIGN(const std::string old, file("base", base));
  TRY_ASSIGN(const std::string theirs, file("sandbox", sandbox));
  // The exit status is the number of conflicts, or 255 for an error (binary files).
  auto spec = git::command(program, git::Config::kOurs, directory.path(),
                           {"merge-file", "--stdout", "--quiet", ours, old, theirs});
  TRY_ASSIGN(sys::Output output, sys::run(spec, {}, {.max_output = 3 * kMaxText}));
  if (!output.exit.ok()) return std::nullopt;
  return std::move(output.out);
}

}  // namespace locki::mirror
