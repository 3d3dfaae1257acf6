#include "gate/sniff.h"

#include <cstdint>
#include <optional>

namespace locki::gate {
namespace {

using State = Sniffed::State;

// A cursor over bytes that never reads beyond them.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::optional<std::uint32_t> number(std::size_t width) {
    const auto raw = take(width);
    if (!raw) return std::nullopt;
    std::uint32_t value = 0;
    for (char c : *raw) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }
  std::optional<std::string_view> take(std::size_t size) {
    if (size > bytes_.size()) return std::nullopt;
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  // A vector with its length in front.
  std::optional<std::string_view> vector(std::size_t width) {
    const auto size = number(width);
    return size ? take(*size) : std::nullopt;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

constexpr std::uint8_t kHandshakeRecord = 22, kClientHello = 1;
constexpr std::size_t kRecordHeader = 5, kHandshakeHeader = 4, kMaxRecord = 1 << 14;
constexpr std::uint32_t kServerNameExtension = 0, kHostNameType = 0;

Sniffed malformed(std::string why) { return {.state = State::kMalformed, .reason = std::move(why)}; }

Sniffed parse_server_name(std::string_view extension) {
  Reader reader(extension);
  const auto list = reader.vector(2);
  if (!list || !reader.empty()) return malformed("the server name extension is malformed");
  Reader names(*list);
  const auto type = names.number(1);
  const auto name = names.vector(2);
  // RFC 6066 allows one name of each type, and there is one type.
  if (!type || *type != kHostNameType || !name || name->empty() || !names.empty())
    return malformed("the server name list is malformed");
  return {.state = State::kHello, .server_name = std::string(*name)};
}

Sniffed parse_hello(std::string_view body) {
  Reader reader(body);
  const auto version = reader.number(2);
  const auto random = reader.take(32);
  const auto session = reader.vector(1);
  const auto ciphers = reader.vector(2);
  const auto compression = reader.vector(1);
  if (!version || *version >> 8 != 3 || !random || !session || session->size() > 32 || !ciphers || ciphers->empty() ||
      !compression)
    return malformed("the ClientHello is malformed");
  Sniffed result{.state = State::kHello};
  if (reader.empty()) return result;  // no extensions: TLS 1.0 allows that
  const auto extensions = reader.vector(2);
  if (!extensions || !reader.empty()) return malformed("the ClientHello's extensions are malformed");
  Reader list(*extensions);
  bool seen = false;
  while (!list.empty()) {
    const auto type = list.number(2);
    const auto data = list.vector(2);
    if (!type || !data) return malformed("a ClientHello extension is malformed");
    if (*type != kServerNameExtension) continue;
    if (seen) return malformed("the ClientHello has two server name extensions");
    seen = true;
    result = parse_server_name(*data);
    if (result.state != State::kHello) return result;
  }
  return result;
}

}  // namespace

Sniffed sniff_client_hello(std::string_view bytes) {
  if (bytes.empty()) return {.need = 1};
  if (static_cast<std::uint8_t>(bytes[0]) != kHandshakeRecord) return {.state = State::kNotTls};
  if (bytes.size() > 1 && bytes[1] != 3) return {.state = State::kNotTls};
  // Put the handshake message together from its records.
  std::string message;
  std::optional<std::size_t> wanted;
  std::size_t before = 0;  // bytes of the records that are done with
  while (true) {
    if (bytes.size() < kRecordHeader) return {.need = before + kRecordHeader};
    Reader header(bytes.substr(0, kRecordHeader));
    const auto type = header.number(1), version = header.number(2), size = header.number(2);
    if (*type != kHandshakeRecord || *version >> 8 != 3)
      return malformed("the ClientHello is cut short by another record");
    if (*size == 0 || *size > kMaxRecord) return malformed("a TLS record has an impossible length");
    const std::string_view fragment = bytes.substr(kRecordHeader, *size);
    message += fragment;
    if (!wanted && message.size() >= kHandshakeHeader) {
      Reader handshake(message);
      const auto kind = handshake.number(1), length = handshake.number(3);
      if (*kind != kClientHello) return malformed("the first TLS message is no ClientHello");
      if (*length > kMaxClientHello) return malformed("the ClientHello is too long");
      wanted = kHandshakeHeader + *length;
    }
    if (wanted && message.size() >= *wanted) break;
    before += kRecordHeader + *size;
    if (fragment.size() < *size) return {.need = before};
    bytes.remove_prefix(kRecordHeader + *size);
  }
  // A client has nothing to say after its hello until the server has answered (early data comes in records of its own).
  if (message.size() > *wanted) return malformed("something follows the ClientHello in its record");
  return parse_hello(std::string_view(message).substr(kHandshakeHeader));
}

std::string alert_record(Alert alert) {
  // Alert record, TLS 1.2 as all versions say it, two bytes: fatal, and why.
  return {'\x15', '\x03', '\x03', '\0', '\2', '\2', static_cast<char>(alert)};
}

}  // namespace locki::gate
