#include "net/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

namespace sluice::net {
namespace {

Address ip(std::string_view text) { return Address::parse(text, 0).value(); }
Cidr block(std::string_view text) { return Cidr::parse(text).value(); }

TEST(Address, ParsesBothFamilies) {
  const Address v4 = Address::parse("192.0.2.7", 8080).value();
  EXPECT_TRUE(v4.is_v4());
  EXPECT_FALSE(v4.is_v6());
  EXPECT_EQ(v4.port(), 8080);
  EXPECT_EQ(v4.ip(), "192.0.2.7");
  EXPECT_EQ(v4.text(), "192.0.2.7:8080");
  EXPECT_EQ(v4.octets().size(), 4u);
  EXPECT_EQ(v4.octets()[3], 7);

  const Address v6 = Address::parse("2001:DB8::1", 443).value();
  EXPECT_TRUE(v6.is_v6());
  EXPECT_FALSE(v6.is_v4());
  EXPECT_EQ(v6.ip(), "2001:db8::1");
  EXPECT_EQ(v6.text(), "[2001:db8::1]:443");
  EXPECT_EQ(v6.octets().size(), 16u);
  EXPECT_EQ(Address::parse("[2001:db8::1]", 443), v6);
}

TEST(Address, RefusesWhatIsNoLiteral) {
  for (const std::string_view text :
       {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4:80", "::1::", "[::1", "::1]", "[]",
        "[1.2.3.4]", "fe80::1%eth0", " 1.2.3.4", "1.2.3.4 ", "0x7f.0.0.1", "2130706433", "::ffff:1.2.3"}) {
    EXPECT_FALSE(Address::parse(text, 0)) << text;
  }
  EXPECT_FALSE(Address::parse(std::string(1000, '1'), 0));
}

TEST(Address, DoesNotStopReadingAtANul) {
  EXPECT_FALSE(Address::parse(std::string_view("1.2.3.4\0.evil", 13), 0));
  EXPECT_FALSE(Address::parse(std::string_view("::1\0", 4), 0));
}

TEST(Address, MappedAddressCountsAsIpv4) {
  const Address mapped = Address::parse("::ffff:192.0.2.7", 99).value();
  EXPECT_TRUE(mapped.is_v4());
  EXPECT_FALSE(mapped.is_v6());
  EXPECT_EQ(mapped.family(), AF_INET6);
  EXPECT_EQ(mapped.ip(), "192.0.2.7");
  EXPECT_EQ(mapped.text(), "192.0.2.7:99");
  EXPECT_EQ(mapped.octets().size(), 4u);
  EXPECT_EQ(mapped.port(), 99);
}

TEST(Address, KnowsLoopback) {
  for (const std::string_view text : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(ip(text).is_loopback()) << text;
  }
  for (const std::string_view text : {"128.0.0.1", "0.0.0.0", "::", "::2", "1::1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(ip(text).is_loopback()) << text;
  }
  EXPECT_TRUE(Address::parse_bind("unix:/run/x.sock")->is_loopback());
  EXPECT_FALSE(Address{}.is_loopback());
}

TEST(Address, PortCanBeSetOnIpAddressesOnly) {
  Address v6 = ip("::1");
  v6.set_port(65535);
  EXPECT_EQ(v6.text(), "[::1]:65535");
  Address un = Address::parse_bind("unix:/a").value();
  un.set_port(80);
  EXPECT_EQ(un.port(), 0);
  EXPECT_EQ(un.text(), "unix:/a");
}

TEST(Address, ParsesBindTexts) {
  EXPECT_EQ(Address::parse_bind("127.0.0.1:80")->text(), "127.0.0.1:80");
  EXPECT_EQ(Address::parse_bind("[::1]:80")->text(), "[::1]:80");
  EXPECT_EQ(Address::parse_bind(":8443")->text(), "0.0.0.0:8443");
  EXPECT_EQ(Address::parse_bind("[::]:0")->text(), "[::]:0");
  const Address un = Address::parse_bind("unix:/run/sluice.sock").value();
  EXPECT_TRUE(un.is_unix());
  EXPECT_EQ(un.text(), "unix:/run/sluice.sock");
  EXPECT_TRUE(un.octets().empty());
  EXPECT_EQ(un.ip(), "");
}

TEST(Address, RefusesBadBindTexts) {
  for (const std::string_view text : {"", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                                      "127.0.0.1:8o", "::1:80", "[::1]", "[::1]:", "localhost:80", "unix:",
                                      "[127.0.0.1]:80", "127.0.0.1:80 "}) {
    EXPECT_FALSE(Address::parse_bind(text)) << text;
  }
  EXPECT_TRUE(Address::parse_bind("unix:" + std::string(107, 'a')));
  EXPECT_FALSE(Address::parse_bind("unix:" + std::string(108, 'a')));
}

TEST(Address, FromKernelIsEqualToTheParsedOne) {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_port = htons(80);
  raw.sin_addr.s_addr = htonl(0x7f000001);
  EXPECT_EQ(Address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw), Address::parse("127.0.0.1", 80));
  EXPECT_NE(Address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw), Address::parse("127.0.0.1", 81));
}

TEST(Address, UnnamedAndEmptyOnesAreHarmless) {
  sockaddr_un raw{};
  raw.sun_family = AF_UNIX;
  const Address unnamed = Address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw.sun_family);
  EXPECT_TRUE(unnamed.is_unix());
  EXPECT_EQ(unnamed.text(), "unix:");
  const Address empty = Address::from(nullptr, 0);
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(empty.text(), "");
  EXPECT_EQ(empty.port(), 0);
  EXPECT_FALSE(empty.is_v4() || empty.is_v6() || empty.is_unix());
}

TEST(Address, LongestUnixPathPrintsWhole) {
  sockaddr_un raw{};
  raw.sun_family = AF_UNIX;
  std::fill(std::begin(raw.sun_path), std::end(raw.sun_path), 'p');
  EXPECT_EQ(Address::from(reinterpret_cast<const sockaddr*>(&raw), sizeof raw).text(),
            "unix:" + std::string(sizeof raw.sun_path, 'p'));
}

TEST(Cidr, ContainsByPrefix) {
  EXPECT_TRUE(block("10.0.0.0/8").contains(ip("10.255.0.1")));
  EXPECT_FALSE(block("10.0.0.0/8").contains(ip("11.0.0.0")));
  EXPECT_TRUE(block("192.0.2.128/25").contains(ip("192.0.2.128")));
  EXPECT_FALSE(block("192.0.2.128/25").contains(ip("192.0.2.127")));
  EXPECT_TRUE(block("0.0.0.0/0").contains(ip("255.255.255.255")));
  EXPECT_TRUE(block("2001:db8::/33").contains(ip("2001:db8:7fff::1")));
  EXPECT_FALSE(block("2001:db8::/33").contains(ip("2001:db8:8000::1")));
  EXPECT_TRUE(block("::1").contains(ip("::1")));
  EXPECT_FALSE(block("::1").contains(ip("::2")));
}

TEST(Cidr, EveryPrefixLengthCutsAtItsBit) {
  for (int bits = 1; bits <= 32; ++bits) {
    const std::uint32_t base = bits == 32 ? 0xffffffffu : ~(0xffffffffu >> bits);
    const auto dotted = [](std::uint32_t v) {
      return std::to_string(v >> 24) + "." + std::to_string(v >> 16 & 255) + "." + std::to_string(v >> 8 & 255) + "." +
             std::to_string(v & 255);
    };
    const Cidr cidr = block(dotted(base) + "/" + std::to_string(bits));
    EXPECT_TRUE(cidr.contains(ip("255.255.255.255"))) << bits;
    EXPECT_TRUE(cidr.contains(ip(dotted(base)))) << bits;
    EXPECT_FALSE(cidr.contains(ip(dotted(base ^ (1u << (32 - bits)))))) << bits;
  }
}

TEST(Cidr, FamiliesDoNotMixButMappedAddressesAreIpv4) {
  EXPECT_FALSE(block("0.0.0.0/0").contains(ip("::1")));
  EXPECT_FALSE(block("::/0").contains(ip("1.2.3.4")));
  EXPECT_TRUE(block("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
  EXPECT_FALSE(block("::/0").contains(ip("::ffff:10.1.2.3")));
  EXPECT_FALSE(block("0.0.0.0/0").contains(Address::parse_bind("unix:/a").value()));
  EXPECT_FALSE(block("::/0").contains(Address{}));
}

TEST(Cidr, DefaultOneContainsNothing) {
  EXPECT_FALSE(Cidr{}.contains(Address{}));
  EXPECT_FALSE(Cidr{}.contains(Address::parse_bind("unix:/a").value()));
  EXPECT_FALSE(Cidr{}.contains(ip("0.0.0.0")));
}

TEST(Cidr, MappedBlockCountsItsWholePrefix) {
  const Cidr mapped = block("::ffff:10.0.0.0/104");
  EXPECT_TRUE(mapped.contains(ip("10.9.9.9")));
  EXPECT_FALSE(mapped.contains(ip("11.0.0.0")));
  EXPECT_EQ(mapped.text(), "10.0.0.0/8");
  EXPECT_FALSE(Cidr::parse("::ffff:10.0.0.0/8"));
  EXPECT_FALSE(Cidr::parse("::ffff:10.0.0.0/129"));
}

TEST(Cidr, RefusesHostBitsAndBadLengths) {
  for (const std::string_view text : {"10.0.0.1/8", "10.128.0.0/8", "2001:db8::1/64", "10.0.0.0/33", "::/129", "10.0.0.0/",
                                      "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/256", "/8", "", "ten/8", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
  EXPECT_EQ(block("10.0.0.0/8").text(), "10.0.0.0/8");
  EXPECT_EQ(block("192.0.2.7").text(), "192.0.2.7/32");
  EXPECT_EQ(block("[2001:db8::]/32").text(), "2001:db8::/32");
}

TEST(Address, NamesASubscriberByItsAddressOrItsNetwork) {
  const auto subscriber = [](const char* ip) { return std::string(as_text(Address::parse(ip, 1)->subscriber())); };
  EXPECT_EQ(subscriber("192.0.2.1"), std::string("\xc0\x00\x02\x01", 4));
  EXPECT_EQ(subscriber("::ffff:192.0.2.1"), subscriber("192.0.2.1"));
  EXPECT_EQ(subscriber("2001:db8:1:2:3:4:5:6"), std::string("\x20\x01\x0d\xb8\x00\x01\x00\x02", 8));
  EXPECT_EQ(subscriber("2001:db8:1:2::"), subscriber("2001:db8:1:2:3:4:5:6"));
  EXPECT_NE(subscriber("2001:db8:1:3::"), subscriber("2001:db8:1:2::"));
  EXPECT_TRUE(Address::parse_bind("unix:/a")->subscriber().empty());
}

}  // namespace
}  // namespace sluice::net
