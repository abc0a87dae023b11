#include "upstream/target_rules.h"

#include <gtest/gtest.h>

namespace sluice::upstream {
namespace {

using net::Address;

TargetAllow allow(const std::string& host, const std::string& cidr, const std::vector<std::string>& ports) {
  TargetAllow out;
  out.host = host;
  if (!cidr.empty()) out.cidr = net::Cidr::parse(cidr).value();
  for (const std::string& port : ports) out.ports.push_back(PortRange::parse(port).value());
  return out;
}

TargetRules rules(std::vector<TargetAllow> all, bool mapped = false, const std::vector<std::string>& own = {}) {
  TargetSettings settings;
  settings.mapped = mapped;
  settings.allow = std::move(all);
  std::vector<Address> addresses;
  for (const std::string& one : own) addresses.push_back(Address::parse_bind(one).value());
  return {std::move(settings), std::move(addresses)};
}

// Whether that target may be connected to at the address that it resolves to (or is).
bool may(const TargetRules& rules, const std::string& text, std::string ip = {}) {
  const auto target = Target::parse(text);
  if (!target || !rules.may_name(*target)) return false;
  if (ip.empty()) ip = target->host;
  return rules.may_connect(*target, Address::parse(ip, target->port).value());
}

TEST(Target, IsAHostAndAPort) {
  EXPECT_EQ(Target::parse("VM1.Example.com:5900")->text(), "vm1.example.com:5900");
  EXPECT_FALSE(Target::parse("vm1.example.com:5900")->literal);
  EXPECT_EQ(Target::parse("203.0.113.9:22")->text(), "203.0.113.9:22");
  EXPECT_TRUE(Target::parse("203.0.113.9:22")->literal);
  EXPECT_EQ(Target::parse("[2001:DB8::1]:22")->text(), "[2001:db8::1]:22");
  EXPECT_EQ(Target::parse("[::ffff:169.254.169.254]:80")->host, "169.254.169.254") << "mapped is IPv4";
  EXPECT_TRUE(Target::parse("3com.example:1"));
  EXPECT_TRUE(Target::parse("a_b.example:1"));
}

TEST(Target, IsNothingElse) {
  for (const std::string text :
       {"", ":", "a", "a:", ":1", "a:0", "a:65536", "a:+1", "a:01", "a:1 ", " a:1", "a b:1", "a:1:2", "::1:22", "[::1]", "[::1]:",
        "[::1]22", "[1.2.3.4]:22", "[a]:22", "localhost.:22", "a..b:1", ".a:1", "-a:1", "a-:1", "0:22", "0x7f.1:22",
        "2130706433:22", "127.1:22", "127.0.0.01:22", "0177.0.0.1:22", "1.2.3.4.5:22", "fe80::1%eth0:22", "[fe80::1%eth0]:22",
        "user@host:22", "tcp://host:22", "host/x:22", "h%6fst:22", "b\xC3\xBC" "cher:1"}) {
    EXPECT_FALSE(Target::parse(text)) << text;
  }
  EXPECT_FALSE(Target::parse("a" + std::string(1, '\0') + ":1"));
  EXPECT_FALSE(Target::parse(std::string(64, 'a') + ":1"));
  std::string longest = std::string(63, 'a');
  for (int i = 0; i < 3; ++i) longest += "." + std::string(63, 'a');
  EXPECT_FALSE(Target::parse(longest + ":1")) << "255 octets";
  EXPECT_TRUE(Target::parse(longest.substr(2) + ":1"));
}

TEST(Target, PortsAreNumbersAndRanges) {
  EXPECT_TRUE(PortRange::parse("5900-5909")->contains(5909));
  EXPECT_FALSE(PortRange::parse("5900-5909")->contains(5910));
  for (const char* text : {"", "-", "1-", "-1", "2-1", "0", "0-1", "65536", "a", "1-2-3", "1, 2"}) {
    EXPECT_FALSE(PortRange::parse(text)) << text;
  }
}

TEST(TargetRules, NamesMustBeNamed) {
  const TargetRules all = rules({allow("vm1.example.com", "", {"5900-5909"}), allow("*.vms.example.com", "", {"22"})});
  EXPECT_TRUE(may(all, "vm1.example.com:5900", "203.0.113.9"));
  EXPECT_TRUE(may(all, "VM1.EXAMPLE.COM:5900", "203.0.113.9"));
  EXPECT_TRUE(may(all, "a.b.vms.example.com:22", "203.0.113.9"));
  for (const std::string text : {"vm2.example.com:5900", "vm1.example.com:22", "vm1.example.com:5910", "vms.example.com:22",
                                 "evilvms.example.com:22", "xvm1.example.com:5900", "vm1.example.com.evil.test:5900"}) {
    EXPECT_FALSE(may(all, text, "203.0.113.9")) << text;
  }
  EXPECT_FALSE(may(all, "203.0.113.9:5900")) << "an address is no name";
}

TEST(TargetRules, AddressesMustLieInABlock) {
  const TargetRules all = rules({allow("", "203.0.113.0/24", {"5900"}), allow("", "2001:db8::/32", {"5900"})});
  EXPECT_TRUE(may(all, "203.0.113.9:5900"));
  EXPECT_TRUE(may(all, "[2001:db8::1]:5900"));
  EXPECT_TRUE(may(all, "[::ffff:203.0.113.9]:5900"));
  EXPECT_FALSE(may(all, "203.0.114.9:5900"));
  EXPECT_FALSE(may(all, "203.0.113.9:5901"));
  EXPECT_FALSE(may(all, "vm1.example.com:5900", "203.0.113.9")) << "a name that nobody allowed is not even resolved";
}

TEST(TargetRules, ANameInABlockNeedsBoth) {
  const TargetRules all = rules({allow("vm1.internal", "10.1.0.0/16", {"5900"})});
  EXPECT_TRUE(may(all, "vm1.internal:5900", "10.1.2.3"));
  EXPECT_FALSE(may(all, "vm1.internal:5900", "10.2.2.3"));
  EXPECT_FALSE(may(all, "vm1.internal:5900", "203.0.113.9"));
  EXPECT_FALSE(may(all, "10.1.2.3:5900"));
}

TEST(TargetRules, DeniesWhatIsNotTheInternet) {
  const TargetRules all = rules({allow("host.example.com", "", {"80"}), allow("", "0.0.0.0/0", {"80"}), allow("", "::/0", {"80"})});
  EXPECT_TRUE(may(all, "203.0.113.9:80"));
  EXPECT_TRUE(may(all, "[2600::1]:80"));
  for (const std::string ip :
       {"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "fc00::1", "fd12::1", "fe80::1", "febf::1", "ff02::1"}) {
    EXPECT_FALSE(may(all, ip.find(':') == std::string::npos ? ip + ":80" : "[" + ip + "]:80")) << ip;
    EXPECT_FALSE(may(all, "host.example.com:80", ip)) << "a name that resolves to " << ip;
  }
}

TEST(TargetRules, ABlockWithinADeniedOneOpensIt) {
  const TargetRules all = rules({allow("", "10.1.0.0/16", {"80"}), allow("", "::1", {"80"}), allow("", "127.0.0.0/8", {"81"})});
  EXPECT_TRUE(may(all, "10.1.2.3:80"));
  EXPECT_FALSE(may(all, "10.2.2.3:80"));
  EXPECT_TRUE(may(all, "[::1]:80"));
  EXPECT_TRUE(may(all, "127.9.9.9:81"));
  EXPECT_FALSE(may(all, "127.9.9.9:80"));
  EXPECT_FALSE(may(rules({allow("", "0.0.0.0/7", {"80"})}), "0.0.0.1:80")) << "a larger block names it by accident";
}

TEST(TargetRules, DeniedPortsNeedTheirOwnNumber) {
  const TargetRules range = rules({allow("", "203.0.113.0/24", {"1-65535"})});
  const TargetRules named = rules({allow("", "203.0.113.0/24", {"25", "6379"})});
  for (const int port : {25, 465, 587, 6379, 2375, 10250}) {
    EXPECT_FALSE(may(range, "203.0.113.9:" + std::to_string(port))) << port;
  }
  EXPECT_TRUE(may(range, "203.0.113.9:26"));
  EXPECT_TRUE(may(named, "203.0.113.9:25"));
  EXPECT_TRUE(may(named, "203.0.113.9:6379"));
}

TEST(TargetRules, NeverConnectsToTheGatewayItself) {
  const auto all = [](const std::vector<std::string>& own) {
    return rules({allow("", "127.0.0.0/8", {"1-65535"}), allow("", "::1", {"1-65535"}), allow("admin.test", "127.0.0.0/8", {"9901"}),
                  allow("", "203.0.113.0/24", {"1-65535"})},
                 false, own);
  };
  EXPECT_TRUE(may(all({}), "127.0.0.1:9901"));
  EXPECT_FALSE(may(all({"127.0.0.1:9901"}), "127.0.0.1:9901"));
  EXPECT_FALSE(may(all({"127.0.0.1:9901"}), "[::ffff:127.0.0.1]:9901"));
  EXPECT_FALSE(may(all({"127.0.0.1:9901"}), "admin.test:9901", "127.0.0.1"));
  EXPECT_TRUE(may(all({"127.0.0.1:9901"}), "127.0.0.1:9902"));
  EXPECT_TRUE(may(all({"127.0.0.1:9901"}), "127.0.0.2:9901"));
  for (const std::string any : {"0.0.0.0:8443", "[::]:8443", ":8443"}) {
    EXPECT_FALSE(may(all({any}), "127.0.0.2:8443")) << any;
    EXPECT_TRUE(may(all({any}), "203.0.113.9:8443")) << "no address of this machine";
    EXPECT_TRUE(may(all({any}), "127.0.0.2:8444"));
  }
}

TEST(TargetRules, MappedNamesAreTheConfigurationsOwn) {
  const TargetRules all = rules({allow("", "10.0.0.0/8", {"5900"})}, true);
  EXPECT_TRUE(may(all, "vm1.internal:5900", "10.1.2.3"));
  EXPECT_FALSE(may(all, "vm1.internal:5900", "127.0.0.1"));
  EXPECT_FALSE(may(all, "vm1.internal:5901", "10.1.2.3"));
}

}  // namespace
}  // namespace sluice::upstream
