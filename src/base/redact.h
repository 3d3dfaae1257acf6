// The last fence before a log: what looks like a credential is not written. Pure. Applied by whatever writes log files
// (base/log.cc, sys/line_log.cc), so that no caller has to remember it.
#pragma once

#include <string>
#include <string_view>

namespace locki {

// Tokens of known formats (Anthropic, OpenAI, GitHub, GitLab, Google, npm, PyPI, Slack, AWS key ids, JSON Web Tokens, user:secret@ of a
// URL) become "[redacted]" after the few characters that name the format. A token must be long enough to be one; what merely begins like
// one stays.
std::string redacted(std::string_view text);

}  // namespace locki
