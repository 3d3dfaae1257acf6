#include "mirror/tree.h"

#include "base/log.h"
#include "base/strings.h"
#include "mirror/names.h"
#include "mirror/tree_impl.h"
#include "sys/file.h"

namespace locki::mirror {
namespace {

constexpr std::size_t kMaxSkipped = 10'000;

std::filesystem::path beside(const std::filesystem::path& cache, std::string_view suffix) {
  if (cache.empty()) return {};
  return cache.native() + std::string(suffix);
}

}  // namespace

Tree::Impl::Impl(std::filesystem::path root_path, TreeOptions given, sys::Directory directory)
    : path(std::move(root_path)),
      options(std::move(given)),
      root(std::move(directory)),
      rules(path, options.git, options.git_environment, beside(options.cache, ".norepo.git")),
      staging(options.staging, options.saved),
      include(options.include.begin(), options.include.end()) {}

bool Tree::Impl::alive() const {
  // By path as well: a root that was moved away is not what the user calls by this name any more.
  struct stat named {};
  if (::lstat(path.c_str(), &named) != 0) return false;
  const auto held_open = root.stat_self();
  return held_open && held_open->links > 0 && held_open->same_object(root_stat) &&
         sys::file_stat(named).same_object(root_stat);
}

void Tree::Impl::skip(std::string_view at, std::string reason) {
  if (skipped.size() < kMaxSkipped) skipped.insert_or_assign(std::string(at), std::move(reason));
}

void Tree::Impl::load_cache() {
  if (options.cache.empty()) return;
  if (auto loaded = StatCache::load(options.cache)) {
    cache = std::move(*loaded);
  } else if (loaded.error().kind() != ErrorKind::kNotFound) {
    log::warning("starting with an empty stat cache: {}", loaded.error().describe());
  }
  if (!options.hold_ignored) return;
  if (const auto text = sys::read_file(beside(options.cache, ".held"), 256 << 20)) {
    for (const std::string& line : split(*text, '\0'))
      if (!line.empty()) held.insert(line);
  }
}

Result<> Tree::Impl::save_cache() {
  if (options.cache.empty() || !cache_dirty) return {};
  if (options.hold_ignored) {
    std::string text;
    for (const std::string& at : held) text.append(at).push_back('\0');
    TRY(sys::write_file(beside(options.cache, ".held"), text, 0600));
  }
  TRY(cache.save(options.cache));
  cache_dirty = false;
  return {};
}

Result<Tree> Tree::open(const std::filesystem::path& root, TreeOptions options) {
  TRY_ASSIGN(sys::Directory directory, sys::Directory::open(root));
  auto impl = std::make_unique<Impl>(root, std::move(options), std::move(directory));
  TRY_ASSIGN(impl->root_stat, impl->root.stat_self());
  impl->load_cache();
  return Tree(std::move(impl));
}

Tree::Tree(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(Tree&&) noexcept = default;

Tree::~Tree() {
  if (!impl_) return;
  if (const auto saved = impl_->save_cache(); !saved)
    log::warning("the stat cache was not written: {}", saved.error().describe());
  impl_->staging.tidy(impl_->root);
}

void Tree::keep(const std::vector<std::string>& paths) { impl_->kept.insert(paths.begin(), paths.end()); }
const State& Tree::state() const { return impl_->state; }
const std::map<std::string, std::string>& Tree::skipped() const { return impl_->skipped; }
bool Tree::root_alive() const { return impl_->alive(); }
const sys::Directory& Tree::root() const { return impl_->root; }
Result<> Tree::save_cache() { return impl_->save_cache(); }

void Tree::note_told(std::string_view path, const std::optional<Entry>& actual) { impl_->record(std::string(path), actual); }

Result<sys::OpenedFile> Tree::open_file(std::string_view path) const {
  TRY(check_path(path));
  return impl_->root.open_file(path);
}

}  // namespace locki::mirror
