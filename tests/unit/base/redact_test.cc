#include "base/redact.h"

#include <gtest/gtest.h>

#include "base/log.h"

#include <sys/mman.h>
#include <unistd.h>

namespace locki {
namespace {

// Put together here, so that no scanner takes this file for a leak.
std::string many(std::string_view pattern, std::size_t size) {
  std::string text;
  while (text.size() < size) text += pattern;
  return text.substr(0, size);
}

TEST(Redact, TokensOfKnownFormats) {
  for (const std::string prefix : {"sk-ant-", "sk-proj-", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "AIza", "npm_", "pypi-", "xoxb-", "xoxp-", "AKIA", "GOCSPX-"}) {
    const std::string token = prefix + many("aB3dE5gH7jK9", 36);
    EXPECT_EQ(redacted("the token " + token + ", said twice: " + token), "the token " + prefix + "[redacted], said twice: " + prefix + "[redacted]");
    EXPECT_EQ(redacted("\"" + token + "\""), "\"" + prefix + "[redacted]\"");
    EXPECT_EQ(redacted("TOKEN=" + token).find(token.substr(prefix.size())), std::string::npos);
  }
  EXPECT_EQ(redacted("sk-" + many("0123456789abcdef", 48)), "sk-[redacted]");
}

TEST(Redact, WebTokensAndSecretsOfUrls) {
  const std::string part = many("aGVsbG8gd29ybGQ", 30);
  EXPECT_EQ(redacted("Bearer eyJ" + part + "." + part + "." + part + " end"), "Bearer eyJ[redacted] end");
  EXPECT_EQ(redacted("eyJ" + part + "." + part + "."), "eyJ[redacted].");
  EXPECT_EQ(redacted("fetching https://me:hunter2@host.example/x?y"), "fetching https://me:[redacted]@host.example/x?y");
  EXPECT_EQ(redacted("https://me:a@b@host.example"), "https://me:[redacted]@host.example");
}

TEST(Redact, WordsStay) {
  for (const std::string text : {"", "sk-ip the task-force", "https://host.example:8080/a@b", "ghp_short", "eyJ is how it begins", "risk-averse-and-quite-long-but-no-token-at-all",
                                 "npm_config_registry=https://a.example", "eyJhbGciOi", "AKIA", "ssh://git@host.example/x", "0123456789abcdef0123456789abcdef01234567"}) {
    EXPECT_EQ(redacted(text), text);
  }
}

TEST(Redact, TheLogAppliesIt) {
  const int fd = ::memfd_create("log", MFD_CLOEXEC);
  log::open(fd, log::Level::kInfo, "test");
  log::info("got {}", "ghp_" + many("x1Y2", 36));
  log::open(-1, log::Level::kInfo, "");
  char text[300] = "";
  ASSERT_GT(::pread(fd, text, sizeof text - 1, 0), 0);
  ::close(fd);
  EXPECT_NE(std::string(text).find("got ghp_[redacted]\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace locki
