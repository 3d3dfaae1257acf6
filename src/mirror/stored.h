// Numbers, strings and entries as bytes, for files of our own (base_store.h, history.h). A disk can lie: every read is
// bounded, and one failure is remembered. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mirror/state.h"

namespace locki::mirror {

void put_number(std::string& out, std::uint64_t value, int bytes);
void put_string(std::string& out, std::string_view text);
void put_entry(std::string& out, const std::optional<Entry>& entry);
void put_state(std::string& out, const State& state);

struct Cursor {
  std::string_view in;
  bool bad = false;

  std::string_view take(std::size_t n);
  std::uint64_t number(int bytes);
  std::string string() { return std::string(take(number(4))); }
  std::optional<Entry> entry();
  State state();
  bool whole() const { return !bad && in.empty(); }
};

// `magic`, body, BLAKE2b of both; and the body again. kCorrupt.
std::string seal(std::string_view magic, std::string_view body);
Result<std::string_view> unseal(std::string_view magic, std::string_view bytes);

// A state with two labels: the history's index.
struct StoredState {
  State state;
  std::string label_a, label_b;
};
std::string encode_stored(const StoredState& stored);
Result<StoredState> decode_stored(std::string_view bytes);

}  // namespace locki::mirror
