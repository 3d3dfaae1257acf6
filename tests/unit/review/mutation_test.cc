// 100,000 deterministic mutations of good inputs for each reader of what a sandbox wrote.
#include <gtest/gtest.h>

#include "support/mutation.h"
#include "unit/review/parser_targets.h"

namespace locki::review {
namespace {

using locki::test::hammer;
using namespace std::string_literals;

TEST(Mutation, Contents) {
  hammer({"package.json\n{\"scripts\":{\"a\":\"b\"}}\0\0{\"scripts\":{\"a\":\"c\",\"postinstall\":\"x\"},\"a\":{\"b\":\"git+https://u@host.example/x/y.git#1\"}}"s,
          "Cargo.toml\nscripts = 1\n[a]\nb = [1, 2]\0\0[a]\nb = { c = \"https://x.example\" }\nscripts.x = 2020-01-01\n"s,
          "x\n\x7f"
          "ELF\0\0MZ"s + std::string(62, '\0') + "PE"s,
          "y\ntext\0\0#!/usr/bin/env sh\nA\xe2\x80\xae \xe2\x80\x8b \x1b[2J\r\xf3\xa0\x81\xa9 git@host.example:a/b github:a/b\n"s, "z.jar\nPK\3\4\0\0PK\3\4 META-INF/MANIFEST.MF PK\5\6"s,
          "p.pyc\n\0\0\xcb\x0d\r\n\0\0\0\0\0\0\0\0\0\0\0\0\xe3"s, "c\n\0\0\xca\xfe\xba\xbe\0\0\0\x41"s},
         testing::content_target);
}

TEST(Mutation, ReportsAndListings) {
  const std::string id(40, 'a');
  hammer({":100644 100755 " + id + " " + id + " M\0a/b\0"s, "120000 blob " + id + "\tlink\0"s, id + " blob 3\nabc\n"s,
          json::serialize(to_json(Judged{{"a", "held", Severity::kHigh, "why", "detail"}, Place::kBranch, {}, kModeFile, std::string(64, '0')}))},
         testing::report_target);
}

}  // namespace
}  // namespace locki::review
