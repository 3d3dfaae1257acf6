#include "mirror/names.h"

#include <string>

#include "base/strings.h"

namespace locki::mirror {

Result<> check_path(std::string_view path) {
  if (const auto why = path_rules::why_bad_path(path)) {
    return fail(ErrorKind::kProtocol, "the path '" + printable(path) + "' has " + std::string(*why));
  }
  return {};
}

Result<> check_symlink(std::string_view path, std::string_view target) {
  TRY(check_path(path));
  if (const auto why = path_rules::why_bad_symlink(path, target)) {
    return fail(ErrorKind::kProtocol,
                "the symlink '" + printable(path) + "' to '" + printable(target) + "' has " + std::string(*why));
  }
  return {};
}

}  // namespace locki::mirror
