#include "net/dns_services.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace sluice::net {
namespace {

std::string n16(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
std::string n32(std::uint32_t value) { return n16(value >> 16) + n16(value & 0xffff); }
std::string name(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('.', at), text.size());
    out += static_cast<char>(end - at);
    out.append(text, at, end - at);
    at = end + 1;
  }
  return out + '\0';
}
std::string pointer(unsigned to) { return n16(0xc000 | to); }
// The question stands at octet 12: "_ws._tcp.chat.example", its "chat.example" at 21.
std::string message(const std::vector<std::string>& records) {
  std::string out = n16(7) + n16(0x8180) + n16(1) + n16(static_cast<unsigned>(records.size())) + n16(0) + n16(0);
  out += name("_ws._tcp.chat.example") + n16(33) + n16(1);
  for (const std::string& record : records) out += record;
  return out;
}
std::string record(unsigned type, std::uint32_t ttl, const std::string& data) {
  return pointer(12) + n16(type) + n16(1) + n32(ttl) + n16(static_cast<unsigned>(data.size())) + data;
}
std::string srv(unsigned priority, unsigned weight, unsigned port, const std::string& target, std::uint32_t ttl = 60) {
  return record(33, ttl, n16(priority) + n16(weight) + n16(port) + target);
}
std::optional<Services> read(const std::string& octets) { return read_services(as_bytes(octets)); }

TEST(DnsServices, AreReadByPriority) {
  const auto found = read(message({srv(20, 5, 9001, name("b.chat.example")), srv(10, 60, 9000, name("a.chat.example"), 30)}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ttl, 30u);
  EXPECT_EQ(found->records, (std::vector<Service>{{"a.chat.example", 9000, 10, 60}, {"b.chat.example", 9001, 20, 5}}));
}

TEST(DnsServices, MayNameTheirTargetsByPointer) {
  const auto found = read(message({srv(1, 1, 80, std::string("\1a") + pointer(21))}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->records.at(0).target, "a.chat.example");
}

TEST(DnsServices, BehindAnAliasHaveItsTimeToLive) {
  const auto found = read(message({record(5, 7, name("other.example")), srv(1, 1, 80, name("a.example"))}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ttl, 7u);
  EXPECT_EQ(found->records.size(), 1u);
}

TEST(DnsServices, ThatAreDecidedlyNotAvailableAreNone) {
  const auto found = read(message({srv(0, 0, 0, name(""))}));
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->records.empty());
}

TEST(DnsServices, OfManyTheFirst64ByPriority) {
  std::vector<std::string> records;
  for (unsigned i = 0; i < 100; ++i) records.push_back(srv(100 - i, 1, 80, name("a.example")));
  const auto found = read(message(records));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->records.size(), 64u);
  EXPECT_EQ(found->records.front().priority, 1u);
  EXPECT_EQ(found->records.back().priority, 64u);
}

TEST(DnsServices, OfTargetsThatAreNoHostNamesAreRefused) {
  EXPECT_FALSE(read(message({srv(1, 1, 80, name("a b.example"))})));
  EXPECT_FALSE(read(message({srv(1, 1, 80, name("a\nb.example"))})));
  EXPECT_FALSE(read(message({srv(1, 1, 80, name("-a.example"))})));
  EXPECT_FALSE(read(message({srv(1, 1, 0, name("a.example"))}))) << "port 0";
  EXPECT_TRUE(read(message({srv(1, 1, 80, name("a_b.example"))})));
}

TEST(DnsServices, WithPointersThatLeadOnOrInCirclesAreRefused) {
  const std::string good = message({srv(1, 1, 80, name("a.example"))});
  const auto target = static_cast<unsigned>(good.size() - name("a.example").size());
  EXPECT_FALSE(read(message({srv(1, 1, 80, pointer(target))}))) << "to itself";
  EXPECT_FALSE(read(message({srv(1, 1, 80, pointer(target + 5))}))) << "onwards";
  EXPECT_FALSE(read(message({srv(1, 1, 80, std::string("\1a") + pointer(target))}))) << "in a circle";
  EXPECT_FALSE(read(message({srv(1, 1, 80, pointer(3))}))) << "into the header";
}

TEST(DnsServices, WhoseDataIsLongerOrShorterThanItSaysAreRefused) {
  EXPECT_FALSE(read(message({record(33, 60, n16(1) + n16(1) + n16(80) + name("a.example") + "x")})));
  EXPECT_FALSE(read(message({record(33, 60, n16(1) + n16(1))})));
}

TEST(DnsServices, WithNamesThatAreTooLongAreRefused) {
  std::string longest;
  for (int i = 0; i < 4; ++i) longest += std::string(i < 3 ? 63 : 61, 'a') + (i < 3 ? "." : "");
  EXPECT_TRUE(read(message({srv(1, 1, 80, name(longest))})));
  EXPECT_FALSE(read(message({srv(1, 1, 80, name(longest + "b"))})));
}

TEST(DnsServices, CutAnywhereAreRefused) {
  const std::string whole = message({srv(20, 5, 9001, name("b.chat.example")), srv(1, 1, 80, std::string("\1a") + pointer(21))});
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(read(whole.substr(0, size))) << size;
  EXPECT_TRUE(read(whole));
}

}  // namespace
}  // namespace sluice::net
