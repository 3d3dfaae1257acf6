#include "sandbox/tar.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace locki::sandbox {

namespace {

constexpr std::size_t kBlock = 512;

// pax(1), "ustar Interchange Format".
struct Header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], user[32], group[32],
      major[8], minor[8], prefix[155], padding[12];
};
static_assert(sizeof(Header) == kBlock);

void put(char* field, std::size_t size, std::string_view text) { std::memcpy(field, text.data(), std::min(size, text.size())); }

}  // namespace

void TarWriter::header(std::string_view name, char type, unsigned mode, std::string_view target, std::size_t size) {
  Header h{};
  put(h.name, sizeof h.name, name);
  put(h.mode, sizeof h.mode, fmt::format("{:07o}", mode & 07777));
  put(h.uid, sizeof h.uid, "0000000");
  put(h.gid, sizeof h.gid, "0000000");
  put(h.size, sizeof h.size, fmt::format("{:011o}", size));
  put(h.mtime, sizeof h.mtime, "00000000000");
  std::memset(h.checksum, ' ', sizeof h.checksum);
  h.type = type;
  put(h.link, sizeof h.link, target);
  put(h.magic, sizeof h.magic, std::string_view("ustar\0", 6));
  put(h.version, sizeof h.version, "00");
  put(h.user, sizeof h.user, "root");
  put(h.group, sizeof h.group, "root");
  unsigned sum = 0;
  std::array<unsigned char, kBlock> raw{};
  std::memcpy(raw.data(), &h, kBlock);
  for (const unsigned char c : raw) sum += c;
  put(h.checksum, sizeof h.checksum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  out_.append(reinterpret_cast<const char*>(&h), kBlock);
}

void TarWriter::entry(std::string_view path, char type, unsigned mode, std::string_view target, std::string_view content) {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  const auto body = [&](std::string_view bytes) {
    out_ += bytes;
    out_.append((kBlock - bytes.size() % kBlock) % kBlock, '\0');
  };
  // GNU: the record before one whose name (L) or target (K) does not fit holds it whole.
  for (const auto& [long_type, text] : {std::pair{'L', path}, std::pair{'K', target}}) {
    if (text.size() < sizeof(Header::name)) continue;
    const std::string terminated = std::string(text) + '\0';
    header("././@LongLink", long_type, 0644, "", terminated.size());
    body(terminated);
  }
  header(path, type, mode, target, content.size());
  body(content);
}

void TarWriter::directory(std::string_view path, unsigned mode) { entry(path, '5', mode, "", ""); }
void TarWriter::file(std::string_view path, std::string_view content, unsigned mode) { entry(path, '0', mode, "", content); }
void TarWriter::symlink(std::string_view path, std::string_view target) { entry(path, '2', 0777, target, ""); }

std::string TarWriter::finish() {
  out_.append(2 * kBlock, '\0');
  return std::move(out_);
}

}  // namespace locki::sandbox
