#include "sandbox/record.h"

#include <gtest/gtest.h>

#include "sandbox/certificates.h"
#include "sandbox/provision.h"
#include "sandbox/tar.h"
#include "sys/file.h"
#include "sys/process.h"

namespace locki::sandbox {
namespace {

TEST(CheckName, TakesBranchNamesAndNothingElse) {
  for (const char* good : {"my-feature", "fix/login", "a", "v1.2_x"}) EXPECT_TRUE(check_name(good)) << good;
  for (const char* bad : {"", ".", "..", "a/../b", "/a", "a/", "-x", "a/-x", ".git", "a b", "a\nb", "ä", "x.lock", "a..b", "HEAD", "a.", "a;b", "$(x)"}) {
    EXPECT_FALSE(check_name(bad)) << bad;
  }
  EXPECT_FALSE(check_name(std::string(101, 'a')));
}

Record sample() {
  Record record;
  record.id = RecordStore::id_of("/r/.git", "my-feature");
  record.name = "my-feature";
  record.repo = "/r";
  record.git_dir = "/r/.git";
  record.worktree = "/w";
  record.agents = {"claude"};
  return record;
}

TEST(RecordStore, KeepsWhatItWasGivenAndNamesWhatIsBroken) {
  auto dir = sys::TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  RecordStore store(dir->path() / "sandboxes");
  ASSERT_TRUE(store.save(sample()));
  const auto loaded = store.load(sample().id);
  ASSERT_TRUE(loaded) << loaded.error().describe();
  EXPECT_EQ(json::serialize(to_json(*loaded)), json::serialize(to_json(sample())));
  EXPECT_EQ(store.load("nope").error().kind(), ErrorKind::kNotFound);

  std::filesystem::create_directories(dir->path() / "sandboxes/bad");
  ASSERT_TRUE(sys::write_file(dir->path() / "sandboxes/bad/record.json", "{\"version\": 99}"));
  std::vector<std::string> broken;
  const auto all = store.list(&broken);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1u);
  ASSERT_EQ(broken.size(), 1u);
  EXPECT_NE(broken[0].find("version 99"), std::string::npos);
  ASSERT_TRUE(store.remove(sample().id));
  EXPECT_EQ(store.load(sample().id).error().kind(), ErrorKind::kNotFound);
}

TEST(RecordStore, IdsDoNotCollideAcrossTheBorderOfTheirParts) { EXPECT_NE(RecordStore::id_of("/a", "bc"), RecordStore::id_of("/ab", "c")); }

TEST(RecordStore, AddressesAreUniqueAndInTheNetwork) {
  Record first = sample();
  first.address = RecordStore::free_address(first.id, {}).value();
  EXPECT_TRUE(first.address.starts_with("10.77."));
  EXPECT_NE(RecordStore::free_address(first.id, {first.address}).value(), first.address);
}

TEST(TarWriter, TarReadsIt) {
  auto dir = sys::TemporaryDirectory::make("/tmp", "locki-test");
  ASSERT_TRUE(dir);
  TarWriter tar;
  const std::string longest = "/" + std::string(90, 'd') + "/" + std::string(120, 'f');
  tar.file("/etc/x", "hello", 0640);
  tar.file(longest, std::string(1000, 'y'));
  tar.symlink("/etc/link", "x");
  std::string archive = tar.finish();
  TarWriter second;
  second.file("/etc/z", "");
  archive += second.finish();  // as the container is prepared: several archives in one stream
  const auto unpacked = sys::run_ok({.program = "/usr/bin/tar", .args = {"-x", "--ignore-zeros", "-C", dir->path().native()}, .environment = sys::clean_environment()}, archive);
  ASSERT_TRUE(unpacked) << unpacked.error().describe();
  EXPECT_EQ(*sys::read_file(dir->path() / "etc/x"), "hello");
  EXPECT_EQ(std::filesystem::status(dir->path() / "etc/x").permissions(), std::filesystem::perms(0640));
  EXPECT_EQ(sys::read_file(dir->path().native() + longest)->size(), 1000u);
  EXPECT_EQ(std::filesystem::read_symlink(dir->path() / "etc/link"), "x");
  EXPECT_TRUE(std::filesystem::exists(dir->path() / "etc/z"));
}

TEST(Certificates, OnlyWhatIsNew) {
  const std::string a = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const std::string a_wrapped = "-----BEGIN CERTIFICATE-----\r\nAA\r\nAA\r\n-----END CERTIFICATE-----\r\n";
  const std::string b = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n";
  EXPECT_EQ(certificates_missing_from(a, "# comment\n" + a_wrapped + b + b), std::vector<std::string>{b});
  EXPECT_TRUE(pem_certificates("-----BEGIN CERTIFICATE-----\nno end").empty());
}

TEST(Provision, ContainersAreUnprivilegedIsolatedAndCannotForgeAddresses) {
  const auto profile = profile_definition();
  EXPECT_EQ(profile.config.at("security.privileged"), "false");
  EXPECT_EQ(profile.config.at("security.idmap.isolated"), "true");
  EXPECT_EQ(profile.config.at("security.nesting"), "false");
  const auto nic = network_device("10.77.1.1");
  for (const char* key : {"security.mac_filtering", "security.ipv4_filtering", "security.port_isolation"}) EXPECT_EQ(nic.at(key), "true") << key;
}

}  // namespace
}  // namespace locki::sandbox
