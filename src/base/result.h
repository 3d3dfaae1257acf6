// Result<T> and the two macros that pass errors up. This is the only header that names the expected type in use.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace locki {

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return tl::make_unexpected(Error(kind, std::move(message)));
}
inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint) {
  return tl::make_unexpected(Error(kind, std::move(message)).with_hint(std::move(hint)));
}
inline tl::unexpected<Error> fail(Error error) { return tl::make_unexpected(std::move(error)); }
// errno must be passed as captured directly after the call that failed.
inline tl::unexpected<Error> fail_errno(int captured_errno, std::string_view what) {
  return tl::make_unexpected(errno_error(captured_errno, what));
}

// context(start_vm(), "while starting the VM"): adds one link to the chain on the way up.
template <class T>
Result<T> context(Result<T> result, std::string text) {
  if (!result) result.error().add_context(std::move(text));
  return result;
}

}  // namespace locki

#define LOCKI_CONCAT_INNER(a, b) a##b
#define LOCKI_CONCAT(a, b) LOCKI_CONCAT_INNER(a, b)

// TRY(expression): returns the error of a Result from the enclosing function, else goes on. Not for Result<T> whose value matters.
#define TRY(expression)                                                                  \
  do {                                                                                   \
    if (auto locki_try = (expression); !locki_try) return ::locki::fail(std::move(locki_try).error()); \
  } while (false)

// TRY_ASSIGN(auto x, expression): the value of a Result, or its error from the enclosing function.
#define TRY_ASSIGN(lhs, ...) TRY_ASSIGN_INNER(LOCKI_CONCAT(locki_result_, __COUNTER__), lhs, __VA_ARGS__)
#define TRY_ASSIGN_INNER(tmp, lhs, ...)                       \
  auto tmp = (__VA_ARGS__);                                   \
  if (!tmp) return ::locki::fail(std::move(tmp).error());     \
  lhs = std::move(*tmp)
