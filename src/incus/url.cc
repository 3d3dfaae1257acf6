#include "incus/url.h"

namespace locki::incus {

std::string encoded(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  // "." and ".." mean a directory even when they are the whole segment, and no encoding hides that.
  if (out == "." || out == "..") return "%2E" + out.substr(1);
  return out;
}

std::string instance_url(std::string_view name, std::string_view rest) {
  return "/1.0/instances/" + encoded(name) + std::string(rest);
}

std::string volume_url(std::string_view pool, std::string_view name) {
  return "/1.0/storage-pools/" + encoded(pool) + "/volumes/custom/" + encoded(name);
}

}  // namespace locki::incus
