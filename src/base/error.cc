#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace locki {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kFailed: return "failed";
    case ErrorKind::kUsage: return "usage";
    case ErrorKind::kNotFound: return "not-found";
    case ErrorKind::kExists: return "exists";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kTimeout: return "timeout";
    case ErrorKind::kPermission: return "permission";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kCorrupt: return "corrupt";
    case ErrorKind::kProtocol: return "protocol";
    case ErrorKind::kNoSpace: return "no-space";
    case ErrorKind::kCancelled: return "cancelled";
  }
  return "failed";
}

std::string Error::describe() const {
  std::string text;
  for (auto it = contexts_.rbegin(); it != contexts_.rend(); ++it) text += *it + ": ";
  return text + message_;
}

Error errno_error(int captured_errno, std::string_view what) {
  ErrorKind kind = ErrorKind::kFailed;
  switch (captured_errno) {
    case ENOENT: kind = ErrorKind::kNotFound; break;
    case EEXIST: kind = ErrorKind::kExists; break;
    case EACCES:
    case EPERM:
    case EROFS: kind = ErrorKind::kPermission; break;
    case ENOSPC:
    case EDQUOT: kind = ErrorKind::kNoSpace; break;
    case ETIMEDOUT: kind = ErrorKind::kTimeout; break;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE: kind = ErrorKind::kUnavailable; break;
    default: break;
  }
  return {kind, std::string(what) + ": " + std::strerror(captured_errno)};
}

}  // namespace locki
