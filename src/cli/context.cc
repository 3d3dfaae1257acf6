#include "cli/context.h"

#include "cli/text.h"

namespace locki::cli {

Result<json::object> Context::call(std::string_view method, json::object params) {
  TRY_ASSIGN(const auto caller, services.connect());
  TRY_ASSIGN(auto reply, caller->call(method, std::move(params), progress));
  return std::move(reply.result);
}

void Context::out_json(const json::value& value) const {
  auto text = escape_json(json::pretty(value));
  if (!text.ends_with('\n')) text += '\n';
  out(text);
}

}  // namespace locki::cli
