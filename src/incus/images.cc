#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>

#include "incus/client_impl.h"
#include "incus/parse.h"
#include "incus/url.h"

namespace locki::incus {
namespace {

constexpr std::string_view kBoundary = "locki-7c0f6d1e5a9b48f2";

// multipart/form-data as client/incus_images.go sends it: "metadata" first, then "rootfs".
std::vector<net::BodyPart> split_body(const ImageImport& image) {
  const auto head = [](std::string_view name) {
    return fmt::format(
        "--{}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: application/octet-stream\r\n\r\n", kBoundary, name, name);
  };
  return {{.text = head("metadata")},
          {.fd = image.metadata_fd, .length = image.metadata_size},
          {.text = "\r\n" + head("rootfs")},
          {.fd = image.rootfs_fd, .length = image.rootfs_size},
          {.text = fmt::format("\r\n--{}--\r\n", kBoundary)}};
}

// Where the descriptors stood before the upload.
struct Positions {
  off_t metadata = -1, rootfs = -1;
};

Result<> hash_range(crypto_hash_sha256_state& state, int fd, off_t from, std::uint64_t size) {
  Bytes chunk(256 << 10);
  while (size > 0) {
    const ssize_t got = pread(fd, chunk.data(), std::min<std::uint64_t>(chunk.size(), size), from);
    if (got < 0) return fail_errno(errno, "cannot read the image again");
    if (got == 0) return fail(ErrorKind::kFailed, "the image became shorter");
    crypto_hash_sha256_update(&state, chunk.data(), static_cast<unsigned long long>(got));
    from += got;
    size -= static_cast<std::uint64_t>(got);
  }
  return {};
}

// An image's fingerprint is the SHA-256 of its file, or of its two files one after the other (doc/image-handling.md).
Result<std::string> fingerprint_of(const ImageImport& image, const Positions& from) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  TRY(hash_range(state, image.metadata_fd, from.metadata, image.metadata_size));
  if (image.rootfs_fd >= 0) TRY(hash_range(state, image.rootfs_fd, from.rootfs, image.rootfs_size));
  std::array<std::uint8_t, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256_final(&state, digest.data());
  return hex(digest);
}

net::Request import_request(const ImageImport& image, const WaitOptions& wait) {
  net::Request request{.method = "POST", .target = "/1.0/images"};
  if (image.rootfs_fd < 0) {
    request.headers["Content-Type"] = "application/octet-stream";
    request.body.push_back({.fd = image.metadata_fd, .length = image.metadata_size});
  } else {
    request.headers["Content-Type"] = fmt::format("multipart/form-data; boundary={}", kBoundary);
    request.body = split_body(image);
  }
  // incusd writes the whole upload to its own disk before it answers.
  request.timeout = std::chrono::minutes(10);
  request.stop = wait.stop;
  if (wait.progress) {
    request.on_upload = [&wait](std::uint64_t sent, std::uint64_t total) {
      const double fraction = total == 0 ? 1.0 : static_cast<double>(sent) / static_cast<double>(total);
      report(wait.progress, {ProgressEvent::Kind::kUpdate, wait.phase, "Uploading " + human_bytes(sent) + " of " + human_bytes(total), fraction});
    };
  }
  return request;
}

}  // namespace

Result<std::string> Client::import_image(const ImageImport& image, const WaitOptions& wait) {
  const Positions from{lseek(image.metadata_fd, 0, SEEK_CUR), image.rootfs_fd < 0 ? 0 : lseek(image.rootfs_fd, 0, SEEK_CUR)};
  std::string fingerprint;
  auto finished = [&]() -> Result<> {
    TRY_ASSIGN(const Answer answer, impl_->send(import_request(image, wait)));
    if (answer.operation.empty()) return fail(ErrorKind::kProtocol, "Incus answered an image upload without an operation");
    TRY_ASSIGN(const json::object operation, impl_->wait_operation(answer.operation, wait));
    TRY_ASSIGN(const json::object metadata, json::get_object(operation, "metadata"));
    TRY_ASSIGN(fingerprint, json::get_string(metadata, "fingerprint"));
    return {};
  }();
  if (!finished) {
    // It is there already, from an import that was interrupted before it got its alias, for instance.
    const bool again = finished.error().kind() == ErrorKind::kExists && !image.alias.empty() && from.metadata >= 0 && from.rootfs >= 0;
    if (!again) return fail(std::move(finished).error());
    TRY_ASSIGN(fingerprint, fingerprint_of(image, from));
  }
  if (!image.alias.empty()) TRY(set_image_alias(image.alias, fingerprint));
  return fingerprint;
}

Result<std::optional<Image>> Client::image(std::string_view fingerprint) {
  TRY_ASSIGN(const auto found, impl_->find("/1.0/images/" + encoded(fingerprint)));
  if (!found) return std::optional<Image>();
  TRY_ASSIGN(Image parsed, parse_image(*found));
  return std::optional<Image>(std::move(parsed));
}

Result<std::optional<std::string>> Client::image_by_alias(std::string_view alias) {
  TRY_ASSIGN(const auto found, impl_->find("/1.0/images/aliases/" + encoded(alias)));
  if (!found) return std::optional<std::string>();
  if (!found->is_object()) return fail(ErrorKind::kProtocol, "Incus' answer holds no alias");
  TRY_ASSIGN(std::string target, json::get_string(found->get_object(), "target"));
  return std::optional<std::string>(std::move(target));
}

Result<std::vector<Image>> Client::list_images() {
  TRY_ASSIGN(const json::value found, impl_->get("/1.0/images?recursion=1"));
  return parse_list(found, parse_image);
}

Result<> Client::set_image_alias(std::string_view alias, std::string_view fingerprint) {
  TRY_ASSIGN(const auto current, image_by_alias(alias));
  if (current && *current == fingerprint) return {};
  json::object body{{"target", std::string(fingerprint)}, {"description", ""}};
  if (current) {
    const json::value sent = std::move(body);
    return impl_->run_void("PUT", "/1.0/images/aliases/" + encoded(alias), &sent);
  }
  body["name"] = std::string(alias);
  body["type"] = "container";
  const json::value sent = std::move(body);
  return impl_->run_void("POST", "/1.0/images/aliases", &sent);
}

Result<> Client::delete_image(std::string_view fingerprint, const WaitOptions& wait) {
  auto done = impl_->run_void("DELETE", "/1.0/images/" + encoded(fingerprint), nullptr, wait);
  if (!done && done.error().kind() == ErrorKind::kNotFound) return {};
  return done;
}

}  // namespace locki::incus
