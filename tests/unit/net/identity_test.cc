#include "net/identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sys/file.h"

namespace locki::net {
namespace {

TEST(Identity, IsNewEachTimeAndHasAFingerprint) {
  const auto a = make_identity("locki");
  const auto b = make_identity("locki");
  ASSERT_TRUE(a && b);
  EXPECT_NE(*certificate_der(a->certificate_pem), *certificate_der(b->certificate_pem));
  EXPECT_EQ(fingerprint(a->certificate_pem)->size(), 64u);
  EXPECT_NE(*fingerprint(a->certificate_pem), *fingerprint(b->certificate_pem));
}

TEST(Identity, RefusesNamesThatCouldMeanSomething) {
  EXPECT_FALSE(make_identity("a,IP:127.0.0.1"));
  EXPECT_FALSE(make_identity(""));
  EXPECT_FALSE(make_identity("a\nb"));
}

TEST(Identity, PemMustHoldExactlyOneCertificate) {
  const auto a = make_identity("locki");
  ASSERT_TRUE(a);
  EXPECT_EQ(certificate_der(a->certificate_pem + a->certificate_pem).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(certificate_der("hello").error().kind(), ErrorKind::kCorrupt);
}

class Stored : public testing::Test {
 protected:
  sys::TemporaryDirectory directory_ = *sys::TemporaryDirectory::make("/tmp", "locki-identity");
};

TEST_F(Stored, IsMadeOnceWithASecretKey) {
  const auto first = load_or_create(directory_.path(), "client", "locki");
  const auto second = load_or_create(directory_.path(), "client", "locki");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->key_pem, second->key_pem);
  EXPECT_EQ(first->certificate_pem, second->certificate_pem);
  struct stat info {};
  ASSERT_EQ(stat((directory_.path() / "client.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(Stored, AnInterruptedCreationStartsOver) {
  ASSERT_TRUE(sys::create_secret(directory_.path() / "client.key", "half"));
  EXPECT_TRUE(load_or_create(directory_.path(), "client", "locki"));
}

TEST_F(Stored, AForeignKeyIsRefused) {
  ASSERT_TRUE(load_or_create(directory_.path(), "client", "locki"));
  ASSERT_TRUE(sys::write_file(directory_.path() / "client.key", make_identity("x")->key_pem, 0600));
  EXPECT_EQ(load_or_create(directory_.path(), "client", "locki").error().kind(), ErrorKind::kCorrupt);
}

TEST_F(Stored, ACertificateWithoutItsKeyIsRefused) {
  ASSERT_TRUE(load_or_create(directory_.path(), "client", "locki"));
  ASSERT_TRUE(sys::remove_tree(directory_.path() / "client.key"));
  EXPECT_EQ(load_or_create(directory_.path(), "client", "locki").error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace locki::net
