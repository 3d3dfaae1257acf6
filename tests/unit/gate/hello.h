// Builds TLS ClientHellos for the tests.
#pragma once

#include <string>
#include <string_view>

namespace locki::gate::testing {

inline std::string number(std::size_t value, int width) {
  std::string bytes;
  for (int i = width - 1; i >= 0; --i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}
inline std::string vec(std::string_view body, int width) { return number(body.size(), width) + std::string(body); }

inline std::string server_name_extension(std::string_view name) {
  return number(0, 2) + vec(vec(number(0, 1) + vec(name, 2), 2), 2);
}

// The handshake message; `extensions` already encoded, without their common length.
inline std::string client_hello_message(std::string_view extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vec("", 1) + vec("\x13\x01", 2) +
                           vec(std::string(1, '\0'), 1) + vec(extensions, 2);
  return "\x01" + vec(body, 3);
}

inline std::string records(std::string_view message, std::size_t fragment) {
  std::string bytes;
  for (std::size_t at = 0; at < message.size(); at += fragment)
    bytes += "\x16\x03\x01" + vec(message.substr(at, fragment), 2);
  return bytes;
}

inline std::string client_hello(std::string_view name) {
  const std::string other = number(0x002b, 2) + vec("\x02\x03\x04", 2);
  const std::string extensions =
      other + (name.empty() ? "" : server_name_extension(name)) + number(0xff01, 2) + vec(std::string(1, '\0'), 2);
  return records(client_hello_message(extensions), 1 << 14);
}

}  // namespace locki::gate::testing
