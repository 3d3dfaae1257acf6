#include "gate/upstream.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace locki::gate {
namespace {

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const auto byte = i + 2 < text.size() ? unhex(text.substr(i + 1, 2)) : std::nullopt;
    if (!byte) return std::nullopt;
    decoded += static_cast<char>(byte->front());
    i += 2;
  }
  return decoded;
}

std::string value_of(const std::map<std::string, std::string>& environment, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto found = environment.find(name); found != environment.end() && !trim(found->second).empty())
      return std::string(trim(found->second));
  return "";
}

}  // namespace

const UpstreamProxy* Upstream::select(const Endpoint& target, bool connect) const {
  const auto& proxy = connect ? https : http;
  if (!proxy) return nullptr;
  for (const std::string& entry : no_proxy) {
    if (entry == "*") return nullptr;
    std::string_view name = entry;
    if (name.starts_with("*")) name.remove_prefix(1);
    if (name.starts_with(".")) name.remove_prefix(1);
    const std::string& host = target.host.name;
    if (name.empty()) continue;
    if (host == name) return nullptr;
    if (!target.host.address && host.size() > name.size() && host.ends_with(name) &&
        host[host.size() - name.size() - 1] == '.')
      return nullptr;
  }
  return &*proxy;
}

Result<UpstreamProxy> parse_upstream(std::string_view url) {
  // curl and others take "proxy.example.org:3128" as well.
  const std::string whole = url.find("://") == url.npos ? "http://" + std::string(url) : std::string(url);
  auto parts = parse_url(whole);
  if (!parts || parts->scheme != "http")
    return fail(ErrorKind::kUsage, "the host's proxy cannot be used: only http://HOST:PORT is understood",
                "set http_proxy and https_proxy, or upstream in the config");
  UpstreamProxy proxy{.endpoint = std::move(parts->endpoint)};
  if (!parts->user_info.empty()) {
    const auto secret = percent_decode(parts->user_info);
    if (!secret)
      return fail(ErrorKind::kUsage, "the user and password of the host's proxy are not percent-encoded properly");
    proxy.authorization = "Basic " + base64(as_bytes(*secret));
  }
  return proxy;
}

Result<Upstream> upstream_from_environment(const std::map<std::string, std::string>& environment) {
  Upstream upstream;
  // HTTP_PROXY in upper case can be set by a request header in CGI programs, so nobody reads it (httpoxy).
  const std::string http = value_of(environment, {"http_proxy", "all_proxy", "ALL_PROXY"});
  const std::string https = value_of(environment, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  if (!http.empty()) {
    TRY_ASSIGN(upstream.http, context(parse_upstream(http), "while reading http_proxy"));
  }
  if (!https.empty()) {
    TRY_ASSIGN(upstream.https, context(parse_upstream(https), "while reading https_proxy"));
  }
  for (const std::string& entry : split(value_of(environment, {"no_proxy", "NO_PROXY"}), ','))
    if (const auto name = trim(entry); !name.empty()) upstream.no_proxy.push_back(ascii_lower(name));
  return upstream;
}

}  // namespace locki::gate
