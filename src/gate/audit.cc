#include "gate/audit.h"

#include "base/json.h"
#include "base/strings.h"
#include "sys/line_log.h"

namespace locki::gate {

std::string_view to_string(AuditRecord::Event event) {
  switch (event) {
    case AuditRecord::Event::kRefused:
      return "refused";
    case AuditRecord::Event::kFailed:
      return "failed";
    case AuditRecord::Event::kAsked:
      return "asked";
    case AuditRecord::Event::kOpened:
      return "opened";
    case AuditRecord::Event::kClosed:
      return "closed";
  }
  return "?";
}

std::string to_json(const AuditRecord& record) {
  json::object o;
  o["time"] = sys::log_timestamp(record.time);
  o["event"] = std::string(to_string(record.event));
  o["connection"] = record.connection;
  o["sandbox"] = printable(record.sandbox, 100);
  o["sandbox_id"] = printable(record.sandbox_id, 100);
  o["host"] = printable(record.host, 260);
  o["port"] = record.port;
  if (!record.address.empty()) o["address"] = printable(record.address, 100);
  o["rule"] = printable(record.rule, 300);
  if (!record.reason.empty()) o["reason"] = printable(record.reason, 400);
  o["bytes_out"] = record.bytes_out;
  o["bytes_in"] = record.bytes_in;
  o["ms"] = record.duration.count();
  return json::serialize(o);
}

}  // namespace locki::gate
