#include "gate/registries.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "gate/upstream.h"
#include "sys/file.h"

namespace locki::gate {
namespace {

std::string joined(const std::vector<Endpoint>& endpoints) {
  std::string text;
  for (const Endpoint& each : endpoints) text += (text.empty() ? "" : " ") + each.to_string();
  return text;
}

TEST(Registries, Npm) {
  EXPECT_EQ(
      joined(hosts_in_npmrc(
          "; comment\nregistry = \"https://Npm.example.com:4873/x/\"\n@corp:registry=http://corp.example.com\n"
          "//npm.example.com/:_authToken=secret\nproxy=http://proxy.example.com\nregistry-x=https://no.example.com\n")),
      "npm.example.com:4873 corp.example.com:80");
}

TEST(Registries, Pip) {
  EXPECT_EQ(
      joined(hosts_in_pip_conf("[global]\nindex-url = https://user:pw@pip.example.com/simple\nextra-index-url =\n  "
                               "https://a.example.com/s\n  https://b.example.com:8443/s\n"
                               "timeout = 60\n  https://no.example.com\n# find-links = https://no.example.com\n")),
      "pip.example.com:443 a.example.com:443 b.example.com:8443");
}

TEST(Registries, Cargo) {
  EXPECT_EQ(
      joined(hosts_in_cargo_config(
          "[registries.corp]\nindex = \"sparse+https://cargo.example.com/index/\"\n[source.crates-io]\nreplace-with = "
          "\"m\"\n"
          "[source.m]\nregistry = \"https://m.example.com/git/index\"\n[source.local]\ndirectory = \"vendor\"\n")),
      "cargo.example.com:443 m.example.com:443");
  EXPECT_TRUE(hosts_in_cargo_config("not [ toml").empty());
}

TEST(Registries, AptList) {
  EXPECT_EQ(joined(hosts_in_apt_list(
                "# deb http://no.example.com x main\ndeb [arch=amd64 signed-by=/x] https://apt.example.com/debian "
                "trixie main\n"
                "deb-src\thttp://src.example.com/d trixie main # c\ndeb cdrom:[x]/ trixie main\ndeb file:///x y z\n"
                "deb mirror+https://list.example.com/m trixie main\n")),
            "apt.example.com:443 src.example.com:80 list.example.com:443");
}

TEST(Registries, AptSources) {
  EXPECT_EQ(joined(hosts_in_apt_sources(
                "Types: deb\nURIs: http://a.example.com/debian\n https://b.example.com/debian\nSuites: trixie\n\n"
                "# off\nTypes: deb\nEnabled: no\nURIs: http://no.example.com\n\nTypes: deb\nuris: "
                "http://c.example.com:3142/x\nSuites: y\n")),
            "a.example.com:80 b.example.com:443 c.example.com:3142");
}

TEST(Registries, Go) {
  EXPECT_EQ(joined(hosts_in_goproxy("https://go.example.com/x,https://go2.example.com|direct,off")),
            "go.example.com:443 go2.example.com:443");
  EXPECT_EQ(
      joined(hosts_in_go_env("GOFLAGS=-x\nGOPROXY=https://go.example.com\nGOSUMDB=name+key https://sum.example.com\n")),
      "go.example.com:443 sum.example.com:443");
}

TEST(Registries, CollectedAsRulesWithTheirSource) {
  auto directory = sys::TemporaryDirectory::make(std::filesystem::temp_directory_path(), "gate").value();
  const auto& root = directory.path();
  ASSERT_TRUE(sys::make_directories(root / "home/.config/pip"));
  ASSERT_TRUE(sys::make_directories(root / "etc/apt/sources.list.d"));
  ASSERT_TRUE(sys::write_file(root / "home/.npmrc", "registry=https://user:secret@npm.example.com:4873/\n"));
  ASSERT_TRUE(
      sys::write_file(root / "home/.config/pip/pip.conf", "[global]\nindex-url=https://npm.example.com:4873/pip\n"));
  ASSERT_TRUE(sys::write_file(root / "etc/apt/sources.list.d/x.sources", "URIs: http://apt.example.com/d\n"));
  ASSERT_TRUE(sys::write_file(root / "etc/apt/sources.list.d/x.sources.bak", "URIs: http://no.example.com/d\n"));
  const std::vector<Rule> rules = configured_registries(
      {.home = root / "home",
       .root = root,
       .environment = {{"GOPROXY", "https://go.example.com,direct"}, {"SECRET_URL", "https://no.example.com"}},
       .run_npm = false});
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[0].to_string(), "allow npm.example.com:4873");
  EXPECT_EQ(rules[0].source, "npm (~/.npmrc)");
  EXPECT_EQ(rules[1].to_string(), "allow apt.example.com");
  EXPECT_EQ(rules[2].to_string(), "allow go.example.com");
  EXPECT_EQ(rules[2].source, "go ($GOPROXY)");
}

TEST(Upstream, FromTheEnvironment) {
  const Upstream upstream = upstream_from_environment({{"https_proxy", "http://us%40er:p%3Aw@proxy.example.com:3128/"},
                                                       {"HTTP_PROXY", "http://never.example.com"},
                                                       {"no_proxy", "localhost, .corp.example,exact.example"}})
                                .value();
  ASSERT_TRUE(upstream.https);
  EXPECT_FALSE(upstream.http);
  EXPECT_EQ(upstream.https->endpoint.to_string(), "proxy.example.com:3128");
  EXPECT_EQ(upstream.https->authorization, "Basic dXNAZXI6cDp3");
  const auto direct = [&](std::string_view target) {
    return upstream.select(parse_endpoint(target).value(), true) == nullptr;
  };
  EXPECT_FALSE(direct("a.example:443"));
  EXPECT_TRUE(direct("a.corp.example:443"));
  EXPECT_TRUE(direct("corp.example:443"));
  EXPECT_FALSE(direct("notcorp.example:443"));
  EXPECT_TRUE(direct("exact.example:443"));
  EXPECT_EQ(parse_upstream("proxy.example.com:3128").value().endpoint.port, 3128);
  EXPECT_FALSE(parse_upstream("socks5://proxy.example.com"));
  EXPECT_FALSE(parse_upstream("http://a%zz@proxy.example.com"));
}

}  // namespace
}  // namespace locki::gate
