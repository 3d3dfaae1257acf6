#include "gate/defaults.h"

#include <iterator>

#include "sys/file.h"

namespace locki::gate {

Result<std::vector<Rule>> default_rules(const std::filesystem::path& share) {
  const std::filesystem::path path = share / "gate" / "default.rules";
  TRY_ASSIGN(const std::string text, context(sys::read_file(path, 1 << 20), "while reading the default network rules"));
  return context(parse_rules(text, "default"), "while reading " + path.string());
}

std::vector<Rule> assemble_rules(std::vector<Rule> user, std::vector<Rule> tools, std::vector<Rule> defaults) {
  std::vector<Rule> all = std::move(user);
  all.insert(all.end(), std::make_move_iterator(tools.begin()), std::make_move_iterator(tools.end()));
  all.insert(all.end(), std::make_move_iterator(defaults.begin()), std::make_move_iterator(defaults.end()));
  return all;
}

}  // namespace locki::gate
