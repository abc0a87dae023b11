#include "net/proxy_protocol.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace sluice::net {
namespace {

using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

Address at(std::string_view ip, std::uint16_t port) { return Address::parse(ip, port).value(); }

std::string u16(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)}; }
std::string tlv(int type, const std::string& value) { return static_cast<char>(type) + u16(value.size()) + value; }
std::string v2(int command, int family, const std::string& body) {
  return kSignature + static_cast<char>(command) + static_cast<char>(family) + u16(body.size()) + body;
}
const std::string kV4Body = "\xC0\x00\x02\x07\xC6\x33\x64\x01\x9C\x40\x01\xBB"s;  // 192.0.2.7:40000 → 198.51.100.1:443

// The verdict of every prefix and of the whole with octets behind it; the one of the whole is returned.
Result<bool> read(const std::string& text, ProxyHeader& out) {
  for (std::size_t size = 0; size < text.size(); ++size) {
    ProxyHeader part;
    const auto verdict = read_proxy_header(as_bytes(text).first(size), part);
    if (!verdict) return fail(verdict.error());
    EXPECT_FALSE(*verdict) << "complete at " << size << " of " << text.size();
    if (*verdict) return true;
  }
  const auto whole = read_proxy_header(as_bytes(text), out);
  ProxyHeader longer;
  const auto with_more = read_proxy_header(as_bytes(text + "\x16\x03\x01 GET /"), longer);
  if (whole && *whole) {
    EXPECT_TRUE(with_more && *with_more && longer.size == text.size());
    EXPECT_EQ(out.size, text.size());
  }
  return whole;
}

ProxyHeader good(const std::string& text) {
  ProxyHeader header;
  const auto verdict = read(text, header);
  EXPECT_TRUE(verdict.has_value()) << verdict.error().detail;
  EXPECT_TRUE(verdict.value_or(false));
  return header;
}

void refused(const std::string& text) {
  ProxyHeader header;
  const auto verdict = read(text, header);
  ASSERT_FALSE(verdict.has_value()) << testing::PrintToString(text);
  EXPECT_EQ(verdict.error().code, Errc::proxy_hdr);
}

TEST(ProxyV1, NamesBothEnds) {
  const ProxyHeader v4 = good("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n");
  EXPECT_EQ(v4.source, at("192.0.2.7", 40000));
  EXPECT_EQ(v4.destination, at("198.51.100.1", 443));
  const ProxyHeader v6 = good("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
  EXPECT_EQ(v6.source, at("2001:db8::1", 0));
  EXPECT_EQ(v6.destination, at("::1", 65535));
}

TEST(ProxyV1, UnknownNamesNobody) {
  for (const std::string text :
       {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"}) {
    const ProxyHeader header = good(text);
    EXPECT_TRUE(header.source.empty());
    EXPECT_TRUE(header.destination.empty());
  }
}

TEST(ProxyV1, RefusesWhatIsNotExactlyAHeader) {
  for (const std::string text : {
           "PROXY TCP4 01.2.3.4 198.51.100.1 40000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.01 40000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 040000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 0443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 00\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 0x1bb\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 \r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443 \r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443 1\r\n",
           "PROXY TCP4  192.0.2.7 198.51.100.1 40000 443\r\n",
           "PROXY TCP4 192.0.2.7\t198.51.100.1 40000 443\r\n",
           "PROXY TCP4 2130706433 198.51.100.1 40000 443\r\n",
           "PROXY TCP4 0x7f.1 198.51.100.1 40000 443\r\n",
           "PROXY TCP4 localhost 198.51.100.1 40000 443\r\n",
           "PROXY TCP4 ::1 ::1 40000 443\r\n",
           "PROXY TCP6 192.0.2.7 198.51.100.1 40000 443\r\n",
           "PROXY TCP6 ::1 192.0.2.7 40000 443\r\n",
           "PROXY TCP6 [::1] ::1 40000 443\r\n",
           "PROXY TCP6 fe80::1%eth0 ::1 40000 443\r\n",
           "PROXY UDP4 192.0.2.7 198.51.100.1 40000 443\r\n",
           "PROXY tcp4 192.0.2.7 198.51.100.1 40000 443\r\n",
           "PROXY UNKNOWNX\r\n",
           "PROXY\r\n",
           "PROXY \r\n",
           "proxy TCP4 192.0.2.7 198.51.100.1 40000 443\r\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\n",
           "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\r\n",
           "PROXY TCP4 192.0.2.7\n198.51.100.1 40000 443\r\n",
           "GET / HTTP/1.1\r\n",
           " PROXY UNKNOWN\r\n",
           "P\r\n",
           "\x16\x03\x01\x02",
       }) {
    refused(text);
  }
  refused("PROXY UNKNOWN "s + '\0' + "\r\n");
  refused("PROXY UNKNOWN \xFF\r\n");
}

TEST(ProxyV1, IsAtMost107Octets) {
  const std::string fits = "PROXY UNKNOWN " + std::string(kMostProxyV1 - 16, 'x') + "\r\n";
  ASSERT_EQ(fits.size(), kMostProxyV1);
  good(fits);
  refused("PROXY UNKNOWN " + std::string(kMostProxyV1 - 15, 'x') + "\r\n");
  refused(std::string("PROXY UNKNOWN ") + std::string(1000, 'x'));
}

TEST(ProxyV2, NamesBothEnds) {
  const ProxyHeader v4 = good(v2(0x21, 0x11, kV4Body));
  EXPECT_EQ(v4.source, at("192.0.2.7", 40000));
  EXPECT_EQ(v4.destination, at("198.51.100.1", 443));
  EXPECT_TRUE(v4.tlvs.empty());
  const std::string one = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01";
  const ProxyHeader v6 = good(v2(0x21, 0x21, one + std::string(15, '\0') + "\x01\x9C\x40\x01\xBB"));
  EXPECT_EQ(v6.source, at("2001:db8::1", 40000));
  EXPECT_EQ(v6.destination, at("::1", 443));
}

TEST(ProxyV2, LocalUnspecAndUnixNameNobody) {
  for (const std::string& text :
       {v2(0x20, 0x00, ""), v2(0x20, 0x11, kV4Body), v2(0x20, 0x00, "whatever stands here is ignored"),
        v2(0x20, 0x11, ""), v2(0x21, 0x00, ""), v2(0x21, 0x00, tlv(pp2::kNoop, "xxx")),
        v2(0x21, 0x31, std::string(216, '\0')), v2(0x21, 0x31, std::string(216, 'u') + tlv(pp2::kAlpn, "h2"))}) {
    const ProxyHeader header = good(text);
    EXPECT_TRUE(header.source.empty());
    EXPECT_TRUE(header.destination.empty());
  }
}

TEST(ProxyV2, RefusesVersionsCommandsFamiliesAndLengths) {
  refused(v2(0x11, 0x11, kV4Body));
  refused(v2(0x31, 0x11, kV4Body));
  refused(v2(0x22, 0x11, kV4Body));
  refused(v2(0x2F, 0x11, kV4Body));
  refused(v2(0x21, 0x4F, kV4Body));
  refused(v2(0x21, 0x41, kV4Body));
  refused(v2(0x21, 0x10, kV4Body));
  refused(v2(0x21, 0x01, kV4Body));
  refused(v2(0x21, 0x13, kV4Body));
  for (const int datagram : {0x12, 0x22, 0x32}) refused(v2(0x21, datagram, std::string(216, '\0')));
  refused(v2(0x21, 0x21, kV4Body));  // 12 octets for AF_INET6
  refused(v2(0x21, 0x11, kV4Body.substr(1)));
  refused(v2(0x21, 0x31, std::string(215, '\0')));
  refused(kSignature + "\x21\x11\xFF\xFF");  // at once, without waiting for 65,535 octets
  refused("\r\n\r\n\0\r\nQUIT\r"s);
  refused("\r\n\r\nGET / HTTP/1.1\r\n");
}

TEST(ProxyV2, IsAtMost512Octets) {
  const std::size_t room = kMostProxyV2 - kProxyV2Head - kV4Body.size() - 3;
  good(v2(0x21, 0x11, kV4Body + tlv(pp2::kNoop, std::string(room, 'x'))));
  refused(v2(0x21, 0x11, kV4Body + tlv(pp2::kNoop, std::string(room + 1, 'x'))));
  refused(v2(0x20, 0x00, std::string(497, 'x')));
}

TEST(ProxyV2, RefusesTlvsBeyondTheEnd) {
  refused(v2(0x21, 0x11, kV4Body + "\x04"));
  refused(v2(0x21, 0x11, kV4Body + "\x04\x00"s));
  refused(v2(0x21, 0x11, kV4Body + "\x04\x00\x01"s));
  refused(v2(0x21, 0x11, kV4Body + "\x04\xFF\xFF"s + std::string(100, 'x')));
  refused(v2(0x21, 0x11, kV4Body + tlv(pp2::kNoop, "") + "\x04\x00\x02x"s));
  refused(v2(0x21, 0x11, kV4Body + tlv(pp2::kUniqueId, std::string(129, 'i'))));
  refused(v2(0x21, 0x11, kV4Body + tlv(pp2::kSsl, "\x01\0\0\0"s)));
  refused(v2(0x21, 0x11, kV4Body + tlv(pp2::kSsl, "\x01\0\0\0\0\x21\0\x09TLSv1.3"s)));
  good(v2(0x21, 0x11, kV4Body + tlv(pp2::kSsl, "\x01\0\0\0\0\x21\0\x07TLSv1.3"s) + tlv(pp2::kUniqueId, std::string(128, 'i'))));
  good(v2(0x21, 0x11, kV4Body + tlv(0xEE, "") + tlv(pp2::kNoop, "")));
}

TEST(ProxyV2, ChecksTheSum) {
  ProxyFacts facts;
  facts.source = at("192.0.2.7", 40000);
  facts.destination = at("198.51.100.1", 443);
  const std::string right = proxy_header_v2(facts).value();
  good(right);
  for (std::size_t octet = kProxyV2Head; octet < right.size(); ++octet) {
    if (octet >= kProxyV2Head + 12 && octet < kProxyV2Head + 15) continue;  // type and length of the sum itself
    std::string wrong = right;
    wrong[octet] = static_cast<char>(wrong[octet] ^ 1);
    refused(wrong);
  }
  refused(v2(0x21, 0x11, kV4Body + tlv(pp2::kCrc32c, "123")));
  const std::string sum = right.substr(right.size() - 7);
  refused(v2(0x21, 0x11, kV4Body + sum + sum));
}

TEST(ProxyV2, Crc32cIsThatOfRfc3720) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\0'))), 0x8A9136AAU);
  EXPECT_EQ(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))), 0xE3069283U);
}

TEST(ProxyEncode, Version1) {
  EXPECT_EQ(proxy_header_v1(at("192.0.2.7", 40000), at("198.51.100.1", 443)),
            "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n");
  EXPECT_EQ(proxy_header_v1(at("2001:db8::1", 1), at("::1", 65535)), "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
  EXPECT_EQ(proxy_header_v1(at("192.0.2.7", 1), at("2001:db8::1", 2)), "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
  // Mapped on both sides is IPv4: what an IPv6 socket shows of IPv4 peers.
  EXPECT_EQ(proxy_header_v1(at("::ffff:192.0.2.7", 1), at("198.51.100.1", 2)), "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n");
  EXPECT_EQ(proxy_header_v1({}, at("198.51.100.1", 2)), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(proxy_header_v1(*Address::parse_bind("unix:/run/x"), at("198.51.100.1", 2)), "PROXY UNKNOWN\r\n");
}

TEST(ProxyEncode, AConnectionOfOnesOwnStandsForNobody) {
  EXPECT_EQ(proxy_header_v1_unknown(), "PROXY UNKNOWN\r\n");
  const std::string local = proxy_header_v2_local();
  EXPECT_EQ(local, std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
  for (const std::string& text : {std::string(proxy_header_v1_unknown()), local}) {
    const ProxyHeader header = good(text);
    EXPECT_EQ(header.size, text.size());
    EXPECT_TRUE(header.source.empty());
    EXPECT_TRUE(header.destination.empty());
  }
}

TEST(ProxyEncode, WhatIsWrittenReadsTheSame) {
  const std::vector<Address> all{at("192.0.2.7", 40000), at("2001:db8::1", 1), at("::ffff:192.0.2.9", 7), {}};
  for (const Address& source : all) {
    for (const Address& destination : all) {
      ProxyFacts facts;
      facts.source = source;
      facts.destination = destination;
      for (const std::string& text : {proxy_header_v1(source, destination), proxy_header_v2(facts).value()}) {
        const ProxyHeader header = good(text);
        const bool named = !source.empty() && !destination.empty();
        EXPECT_EQ(header.source.ip(), named ? source.ip() : "");
        EXPECT_EQ(header.destination.ip(), named ? destination.ip() : "");
        EXPECT_EQ(header.source.port(), named ? source.port() : 0);
        EXPECT_EQ(header.destination.port(), named ? destination.port() : 0);
      }
    }
  }
}

TEST(ProxyEncode, Facts) {
  ProxyFacts facts;
  facts.source = at("192.0.2.7", 40000);
  facts.destination = at("2001:db8::1", 443);
  facts.alpn = "http/1.1";
  facts.authority = "gw.test";
  const std::string id(200, 'i');
  facts.unique_id = id;
  facts.identity = "alice";
  facts.tls = true;
  facts.tls_version = "TLSv1.3";
  facts.certificate = true;
  facts.common_name = "laptop";
  const std::string text = proxy_header_v2(facts).value();
  EXPECT_EQ(text[13], 0x21);
  const ProxyHeader header = good(text);
  std::map<int, std::string> said;
  ProxyTlvs walk(header.tlvs);
  while (walk.next()) said[walk.type()] = as_text(walk.value());
  EXPECT_FALSE(walk.broken());
  EXPECT_EQ(said[pp2::kAlpn], "http/1.1");
  EXPECT_EQ(said[pp2::kAuthority], "gw.test");
  EXPECT_EQ(said[pp2::kUniqueId], std::string(128, 'i'));
  EXPECT_EQ(said[0xE0], "alice");
  EXPECT_EQ(said[pp2::kCrc32c].size(), 4u);
  EXPECT_EQ(said[pp2::kSsl], "\x07\0\0\0\0"s + tlv(0x21, "TLSv1.3") + tlv(0x22, "laptop"));

  facts.certificate = false;
  facts.common_name = {};
  const std::string without = proxy_header_v2(facts).value();
  EXPECT_NE(without.find("\x01\0\0\0\1"s + tlv(0x21, "TLSv1.3")), std::string::npos) << "no certificate: verify is not zero";
}

TEST(ProxyEncode, RefusesWhatDoesNotFit) {
  ProxyFacts facts;
  facts.source = facts.destination = at("192.0.2.7", 1);
  const std::size_t other = 12 + 3 + 3 + 4;  // addresses, the value's own head, the sum
  const std::string fits(0xFFFF - other, 'x');
  facts.identity = fits;
  EXPECT_EQ(proxy_header_v2(facts).value().size(), kProxyV2Head + 0xFFFF);
  const std::string over = fits + "x";
  facts.identity = over;
  EXPECT_FALSE(proxy_header_v2(facts));
  const std::string huge((1 << 20) + 5, 'x');  // its length cut to 16 bits would look small
  facts.identity = {};
  facts.common_name = huge;
  facts.tls = true;
  EXPECT_FALSE(proxy_header_v2(facts));
}

}  // namespace
}  // namespace sluice::net
