#include "gate/address.h"

#include <gtest/gtest.h>

namespace locki::gate {
namespace {

Address address(std::string_view text) {
  const auto parsed = Address::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Address{});
}

TEST(Address, NeverReachable) {
  for (const char* text :
       {"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200",
        "127.0.0.1", "127.255.255.255", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
        "192.0.0.8", "192.168.0.1", "192.168.255.255", "168.63.129.16", "198.18.0.1", "198.19.255.255", "224.0.0.1",
        "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1", "::", "::1", "::2", "::127.0.0.1",
        "::8.8.8.8", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
        "100::1", "64:ff9b:1::808:808", "2001:10::1", "2001:20::1", "2001:2::1", "4000::1", "5f00::1", "8000::1",
        // forms that carry an IPv4 address
        "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::169.254.169.254",
        "64:ff9b::192.168.1.1", "2002:7f00:1::1", "2002:0a00:0001::", "2002:a9fe:a9fe::1", "2002:c0a8:0101::5",
        "2001:0:7f00:1::", "2001:0:808:808:0:0:80ff:fffe" /* client 127.0.0.1, inverted */, "2001:db8::5efe:10.0.0.1",
        "2a00::200:5efe:192.168.1.1", "::ffff:0:127.0.0.1"})
    EXPECT_TRUE(forbidden(address(text))) << text;
}

TEST(Address, ForThePolicyToDecide) {
  for (const char* text :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1",
        "198.17.255.255", "198.20.0.1", "223.255.255.255",
        // documentation ranges: networks that inspect TLS resolve real names into them
        "192.0.2.1", "198.51.100.7", "203.0.113.255", "2001:db8::1", "3fff::1", "2606:4700::1", "2a00:1450::5",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:203.0.113.7"})
    EXPECT_FALSE(forbidden(address(text))) << text << ": " << forbidden(address(text)).value_or("");
}

TEST(Address, TheHostsOwnAddressesAreRefusedInEveryForm) {
  const std::vector<Address> own = {address("8.8.4.4"), address("2606:4700::1")};
  EXPECT_TRUE(forbidden(address("8.8.4.4"), own));
  EXPECT_TRUE(forbidden(address("::ffff:8.8.4.4"), own));
  EXPECT_TRUE(forbidden(address("64:ff9b::8.8.4.4"), own));
  EXPECT_TRUE(forbidden(address("2606:4700::1"), own));
  EXPECT_FALSE(forbidden(address("8.8.4.5"), own));
}

TEST(Address, InterfacesIncludeLoopback) {
  const auto own = own_addresses();
  EXPECT_NE(std::find(own.begin(), own.end(), address("127.0.0.1")), own.end());
}

TEST(Address, OnlyPlainForms) {
  for (const char* text : {"127.1", "0x7f000001", "2130706433", "010.0.0.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4.5",
                           "256.1.1.1", "fe80::1%eth0", "[::1]", "", ":", "1.2.3"})
    EXPECT_FALSE(Address::parse(text)) << text;
  EXPECT_FALSE(Address::parse(std::string_view("1.2.3.4\0", 8)));
  EXPECT_EQ(address("2001:0DB8:0:0::1").to_string(), "2001:db8::1");
  EXPECT_EQ(Address::v4(0x7f000001), address("127.0.0.1"));
}

}  // namespace
}  // namespace locki::gate
