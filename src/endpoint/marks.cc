#include "endpoint/marks.h"

#include "base/strings.h"
#include "mirror/door.h"
#include "mirror/wire.h"
#include "sys/file.h"

namespace locki::endpoint {

Mark Marks::read() const {
  if (file_.empty()) return {};
  const auto text = sys::read_file(file_, 4096);
  if (!text) return {};
  const auto lines = split_lines(*text);
  if (lines.size() != 3 || lines[0].size() > mirror::wire::kMaxName || lines[1].size() > mirror::wire::kMaxName) return {};
  if (!lines[2].empty() && !mirror::is_object_id(lines[2])) return {};
  return {lines[0], lines[1], lines[2]};
}

Result<> Marks::write(const Mark& mark) const {
  if (file_.empty()) return fail(ErrorKind::kUnavailable, "there is no place for marks");
  return sys::write_file(file_, mark.boot + "\n" + mark.name + "\n" + mark.tip + "\n", 0600);
}

}  // namespace locki::endpoint
