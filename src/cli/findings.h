// Findings of the return gate, as the daemon reports them, for a person. Everything in them comes from a sandbox. Pure.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "term/style.h"

namespace locki::cli {

struct FindingCounts {
  long long high = 0, medium = 0, low = 0;
  long long all() const { return high + medium + low; }
};
// kProtocol for what is no finding.
Result<FindingCounts> count_findings(const json::array& findings);
// "2 high, 1 low"
std::string described(const FindingCounts& counts);

// A block for each severity: path, rule and detail in one line, why once for each rule. `only_high`: nothing else.
Result<std::string> shown_findings(const json::array& findings, const term::Style& style, bool only_high = false);

}  // namespace locki::cli
