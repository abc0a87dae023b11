#include "upstream/hash_key.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace sluice::upstream {
namespace {

class HashKeys : public testing::Test {
 protected:
  HashKeys() {
    head_.fields = {{"Host", "a"}, {"X-Room", "blue"}, {"Cookie", "a=1; sid=s-42"}, {"X-Empty", ""}};
    request_.head = &head_;
    request_.target.path = "/rooms/blue/7";
    request_.target.query = "room=green&x=";
    request_.target.has_query = true;
    request_.client = *net::Address::parse("192.0.2.7", 1234);
    identity_.claims = *Json::parse(R"({"sub":"ada","n":7,"o":{}})");
  }
  std::uint64_t hash(HashKey::Kind kind, std::string name = "", std::uint32_t segment = 0) {
    return hash_of({kind, std::move(name), segment}, request_, identity_);
  }
  std::uint64_t of_client() { return hash64(request_.client.octets()); }

  http::Head head_;
  http::Request request_;
  policy::Identity identity_;
};

TEST_F(HashKeys, TakeEachKindOfValue) {
  EXPECT_EQ(hash(HashKey::Kind::header, "x-room"), hash64("blue"));
  EXPECT_EQ(hash(HashKey::Kind::cookie, "sid"), hash64("s-42"));
  EXPECT_EQ(hash(HashKey::Kind::query, "room"), hash64("green"));
  EXPECT_EQ(hash(HashKey::Kind::path), hash64("/rooms/blue/7"));
  EXPECT_EQ(hash(HashKey::Kind::path, "", 1), hash64("rooms"));
  EXPECT_EQ(hash(HashKey::Kind::path, "", 3), hash64("7"));
  EXPECT_EQ(hash(HashKey::Kind::claim, "sub"), hash64("ada"));
  EXPECT_EQ(hash(HashKey::Kind::claim, "n"), hash64("7"));
}

TEST_F(HashKeys, FallBackToTheClientsAddress) {
  EXPECT_EQ(hash(HashKey::Kind::header, "x-none"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::header, "x-empty"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::cookie, "none"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::query, "none"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::query, "x"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::path, "", 4), of_client());
  EXPECT_EQ(hash(HashKey::Kind::claim, "none"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::claim, "o"), of_client());
  request_.head = nullptr;
  EXPECT_EQ(hash(HashKey::Kind::header, "x-room"), of_client());
  EXPECT_EQ(hash(HashKey::Kind::cookie, "sid"), of_client());
}

TEST_F(HashKeys, IgnoreTheClientsPort) {
  const std::uint64_t before = hash(HashKey::Kind::ip);
  request_.client.set_port(9);
  EXPECT_EQ(hash(HashKey::Kind::ip), before);
  request_.client = *net::Address::parse("::ffff:192.0.2.7", 9);
  EXPECT_EQ(hash(HashKey::Kind::ip), before) << "an IPv4-mapped address is the same client";
  request_.client = *net::Address::parse("192.0.2.8", 9);
  EXPECT_NE(hash(HashKey::Kind::ip), before);
}

}  // namespace
}  // namespace sluice::upstream
