#include "sandbox/provision.h"

#include <gtest/gtest.h>

namespace locki::sandbox {
namespace {

TEST(Provision, NamesAreAnsweredInTheMachineAlone) {
  gate::HostTable hosts;
  hosts.add({"db.example", "model.locki.internal"});
  const auto network = network_definition(hosts);
  EXPECT_EQ(network.config.at("raw.dnsmasq"),
            "no-resolv\nlocal=/#/\naddress=/#/198.18.0.1\naddress=/localhost/127.0.0.1\nhost-record=db.example,198.18.0.2\nhost-record=model.locki.internal,198.18.0.3");
  EXPECT_EQ(network.config.at("ipv6.address"), "none");
  EXPECT_EQ(network_definition().config.at("raw.dnsmasq"), "no-resolv\nlocal=/#/\naddress=/#/198.18.0.1\naddress=/localhost/127.0.0.1\naddn-hosts=/run/locki-names");
  EXPECT_EQ(network_definition(gate::HostTable()).config.at("raw.dnsmasq"), "no-resolv\nlocal=/#/\naddress=/#/198.18.0.1\naddress=/localhost/127.0.0.1");
}

// All that hold, so that what is not among them is gone.
TEST(Provision, AFileOfNames) {
  gate::HostTable hosts;
  hosts.add({"db.example", "model.locki.internal"});
  const auto change = names_change(hosts);
  ASSERT_EQ(change.size(), 6u);
  EXPECT_EQ(change[3], "/run/locki-names");
  EXPECT_EQ(change[4], "198.18.0.2 db.example\n198.18.0.3 model.locki.internal\n");
  EXPECT_EQ(change[5], "incusbr0");
  EXPECT_EQ(names_change({})[4], "");
}

// What was put to sleep with other names is not taken for what is wanted now.
TEST(Provision, TheIdIsOfAllOfIt) {
  gate::HostTable hosts;
  hosts.add({"db.example"});
  EXPECT_EQ(provision_id({"m", "r", "one"}, hosts), provision_id({"m", "r", "one"}, hosts));
  EXPECT_NE(provision_id({"m", "r", "one"}, hosts), provision_id({"m", "r", "one"}, {}));
  EXPECT_NE(provision_id({"m", "r", "one"}, hosts), provision_id({"m", "r", "two"}, hosts));
}

}  // namespace
}  // namespace locki::sandbox
