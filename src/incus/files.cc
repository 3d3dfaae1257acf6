#include <fmt/format.h>

#include "base/strings.h"
#include "incus/client_impl.h"
#include "incus/parse.h"
#include "incus/url.h"

namespace locki::incus {
namespace {

std::string file_url(std::string_view instance, std::string_view path) { return instance_url(instance, "/files?path=" + encoded(path)); }

std::string_view kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::kDirectory: return "directory";
    case FileKind::kSymlink: return "symlink";
    case FileKind::kFile: break;
  }
  return "file";
}

std::optional<std::uint32_t> number(std::string_view text, unsigned base) {
  std::uint64_t value = 0;
  if (text.empty() || text.size() > 11) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || static_cast<unsigned>(c - '0') >= base) return std::nullopt;
    value = value * base + static_cast<unsigned>(c - '0');
  }
  if (value > UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

// X-Incus-uid, -gid, -mode (octal) and -type (shared/api/url.go, ParseFileHeaders).
Result<PulledFile> from_headers(const std::map<std::string, std::string>& headers) {
  const auto header = [&](const char* name) {
    auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  };
  const auto uid = number(header("x-incus-uid"), 10);
  const auto gid = number(header("x-incus-gid"), 10);
  const auto mode = number(header("x-incus-mode"), 8);
  if (!uid || !gid || !mode) return fail(ErrorKind::kProtocol, "Incus' answer lacks a file's owner or mode");
  PulledFile file{.uid = *uid, .gid = *gid, .mode = *mode & 07777};
  const std::string type = header("x-incus-type");
  if (type == "directory") {
    file.kind = FileKind::kDirectory;
  } else if (type == "symlink") {
    file.kind = FileKind::kSymlink;
  } else if (type != "file") {
    return fail(ErrorKind::kProtocol, "Incus names a file of the unknown type " + printable(type, 40));
  }
  return file;
}

}  // namespace

Result<> Client::push_file(std::string_view instance, const FilePush& file) {
  if (!file.path.starts_with('/')) return fail(ErrorKind::kUsage, "not an absolute path: " + printable(file.path));
  net::Request request{.method = "POST", .target = file_url(instance, file.path)};
  request.headers = {{"X-Incus-uid", fmt::format("{}", file.uid)},
                     {"X-Incus-gid", fmt::format("{}", file.gid)},
                     {"X-Incus-mode", fmt::format("{:04o}", file.mode)},
                     {"X-Incus-type", std::string(kind_name(file.kind))},
                     {"X-Incus-write", "overwrite"},
                     {"Content-Type", "application/octet-stream"}};
  if (file.kind != FileKind::kDirectory) {
    request.body.push_back(file.content_fd >= 0 ? net::BodyPart{.fd = file.content_fd, .length = file.content_length}
                                                : net::BodyPart{.text = file.content});
  }
  request.timeout = std::chrono::minutes(5);
  TRY(context(impl_->send(std::move(request)), "while writing " + printable(file.path)));
  return {};
}

Result<PulledFile> Client::pull_file(std::string_view instance, std::string_view path, std::size_t limit) {
  net::Request request{.target = file_url(instance, path)};
  request.max_response_bytes = limit;
  request.timeout = std::chrono::minutes(5);
  const std::string where = "while reading " + printable(path);
  TRY_ASSIGN(net::Response response, context(impl_->http.request(request), where));
  if (response.status != 200) {
    auto answer = parse_answer(response.status, response.body, limit);
    if (answer) return fail(ErrorKind::kProtocol, "Incus answered a file request with status " + std::to_string(response.status));
    return fail(std::move(answer).error().with_context(where));
  }
  TRY_ASSIGN(PulledFile file, context(from_headers(response.headers), where));
  if (file.kind == FileKind::kDirectory) {
    TRY_ASSIGN(const Answer answer, parse_answer(response.status, response.body, limit));
    TRY_ASSIGN(file.entries, parse_list<std::string>(answer.metadata, [](const json::value& v) -> Result<std::string> {
                 if (!v.is_string()) return fail(ErrorKind::kProtocol, "a directory's entries must be strings");
                 return std::string(v.get_string());
               }));
  } else {
    file.content = std::move(response.body);
  }
  return file;
}

Result<> Client::delete_file(std::string_view instance, std::string_view path) {
  auto done = impl_->run_void("DELETE", file_url(instance, path));
  if (!done && done.error().kind() == ErrorKind::kNotFound) return {};
  return done;
}

}  // namespace locki::incus
