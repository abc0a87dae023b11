#include "policy/spiffe_id.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::policy {
namespace {

TEST(SpiffeId, IsATrustDomainAndAPath) {
  const auto id = SpiffeId::parse("spiffe://example.org/ns/Web_1/sa-x.y");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->trust_domain, "example.org");
  EXPECT_EQ(id->path, "/ns/Web_1/sa-x.y");
  EXPECT_EQ(SpiffeId::parse("spiffe://a-b_c.1")->path, "");
}

TEST(SpiffeId, RefusesWhatTheSpecificationDoes) {
  const std::string nul("spiffe://example.org/a\0b", 24);
  for (const std::string& text : {std::string(), std::string("spiffe:"), std::string("spiffe://"), std::string("SPIFFE://example.org/a"),
                                  std::string("Spiffe://example.org/a"), std::string("https://example.org/a"),
                                  std::string("spiffe://Example.org/a"), std::string("spiffe://example.org:80/a"),
                                  std::string("spiffe://user@example.org/a"), std::string("spiffe:///a"),
                                  std::string("spiffe://example.org/"), std::string("spiffe://example.org/a/"),
                                  std::string("spiffe://example.org//a"), std::string("spiffe://example.org/./a"),
                                  std::string("spiffe://example.org/a/.."), std::string("spiffe://example.org/a?b"),
                                  std::string("spiffe://example.org/a#b"), std::string("spiffe://example.org?b"),
                                  std::string("spiffe://example.org/%61"), std::string("spiffe://exa%6dple.org/a"),
                                  std::string("spiffe://example.org/a b"), std::string("spiffe://example.org/\xc3\xa9"), nul,
                                  "spiffe://" + std::string(256, 'a') + "/a"}) {
    EXPECT_FALSE(SpiffeId::parse(text)) << text;
  }
}

TEST(SpiffeId, IsBounded) {
  const std::string longest = "spiffe://a/" + std::string(SpiffeId::kMostOctets - 11, 'b');
  EXPECT_TRUE(SpiffeId::parse(longest));
  EXPECT_FALSE(SpiffeId::parse(longest + "b"));
}

}  // namespace
}  // namespace sluice::policy
