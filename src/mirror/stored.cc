#include "mirror/stored.h"

#include <algorithm>

namespace locki::mirror {
namespace {

constexpr std::string_view kMagic = "locki mirror state 1\n";
constexpr std::size_t kHash = 32;

tl::unexpected<Error> broken() { return fail(ErrorKind::kCorrupt, "the stored state is damaged"); }

}  // namespace

void put_number(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

void put_string(std::string& out, std::string_view text) {
  put_number(out, text.size(), 4);
  out += text;
}

void put_entry(std::string& out, const std::optional<Entry>& entry) {
  out += static_cast<char>(entry ? static_cast<int>(entry->kind) : 0);
  if (!entry) return;
  out += static_cast<char>(entry->executable);
  put_number(out, entry->size, 8);
  out += as_text(entry->content.bytes);
  put_string(out, entry->target);
}

void put_state(std::string& out, const State& state) {
  put_number(out, state.size(), 8);
  for (const auto& [path, entry] : state) {
    put_string(out, path);
    put_entry(out, entry);
  }
}

std::string_view Cursor::take(std::size_t n) {
  if (n > in.size()) {
    bad = true;
    n = in.size();
  }
  const auto out = in.substr(0, n);
  in.remove_prefix(n);
  return out;
}

std::uint64_t Cursor::number(int bytes) {
  std::uint64_t value = 0;
  int shift = 0;
  for (const char c : take(static_cast<std::size_t>(bytes)))
    value |= std::uint64_t{static_cast<unsigned char>(c)} << (8 * shift++);
  return value;
}

std::optional<Entry> Cursor::entry() {
  const auto kind = number(1);
  if (kind == 0 || bad) return std::nullopt;
  if (kind > 3) bad = true;
  Entry e{.kind = static_cast<EntryKind>(kind)};
  e.executable = number(1) != 0;
  e.size = number(8);
  const auto hash = take(kHash);
  std::copy(hash.begin(), hash.end(), e.content.bytes.begin());
  e.target = string();
  return e;
}

State Cursor::state() {
  State state;
  const auto count = number(8);
  for (std::uint64_t i = 0; i < count && !bad; ++i) {
    std::string path = string();
    if (auto one = entry()) state.emplace_hint(state.end(), std::move(path), std::move(*one));
  }
  return state;
}

std::string seal(std::string_view magic, std::string_view body) {
  std::string out(magic);
  out += body;
  out += as_text(hash_of(out).bytes);
  return out;
}

Result<std::string_view> unseal(std::string_view magic, std::string_view bytes) {
  if (bytes.size() < magic.size() + kHash || !bytes.starts_with(magic)) return broken();
  const auto sealed = bytes.substr(0, bytes.size() - kHash);
  if (as_text(hash_of(sealed).bytes) != bytes.substr(sealed.size())) return broken();
  return sealed.substr(magic.size());
}

std::string encode_stored(const StoredState& stored) {
  std::string body;
  put_string(body, stored.label_a);
  put_string(body, stored.label_b);
  put_state(body, stored.state);
  return seal(kMagic, body);
}

Result<StoredState> decode_stored(std::string_view bytes) {
  TRY_ASSIGN(const std::string_view body, unseal(kMagic, bytes));
  Cursor cursor{body};
  StoredState stored;
  stored.label_a = cursor.string();
  stored.label_b = cursor.string();
  stored.state = cursor.state();
  if (!cursor.whole()) return broken();
  return stored;
}

}  // namespace locki::mirror
