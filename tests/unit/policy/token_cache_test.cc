#include "policy/token_cache.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }
net::Sha256 digest(std::string_view token) { return net::sha256(as_bytes(token)); }

Identity identity(std::string subject) {
  Identity made;
  made.method = "jwt";
  made.claims = *Json::parse(R"({"sub":")" + subject + R"("})");
  made.subject = std::move(subject);
  made.expires = true;
  made.expiry = at(1000);
  return made;
}

std::string who(TokenCache& cache, std::string_view token, WallTime now, std::uint64_t generation = 0) {
  const Identity* found = cache.find(digest(token), generation, now);
  return found ? found->subject : "(nobody)";
}

TEST(TokenCache, RemembersWhoPresentedWhat) {
  TokenCache cache;
  EXPECT_EQ(who(cache, "a", at(10)), "(nobody)");
  cache.keep(digest("a"), 500, identity("alice"), at(10), at(1030));
  cache.keep(digest("b"), 500, identity("bob"), at(10), at(1030));
  EXPECT_EQ(who(cache, "a", at(10)), "alice");
  EXPECT_EQ(who(cache, "b", at(10)), "bob");
  EXPECT_EQ(who(cache, "c", at(10)), "(nobody)");
  const Identity* found = cache.find(digest("a"), 0, at(10));
  EXPECT_TRUE(found->expires);
  EXPECT_EQ(found->expiry, at(1000));
  EXPECT_EQ(found->claims.find("sub")->text(), "alice");
}

TEST(TokenCache, ForgetsATokenAtTheMomentOfItsEnd) {
  TokenCache cache;
  cache.keep(digest("a"), 500, identity("alice"), at(10), at(1030));
  EXPECT_EQ(who(cache, "a", at(1030) - 1ms), "alice");
  EXPECT_EQ(who(cache, "a", at(1030)), "(nobody)");
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(who(cache, "a", at(11)), "(nobody)") << "nor does it come back with the clock";
}

TEST(TokenCache, DoesNotVouchForATimeBeforeTheCheck) {
  TokenCache cache;
  cache.keep(digest("a"), 500, identity("alice"), at(10), at(1030));
  EXPECT_EQ(who(cache, "a", at(10) - 1ms), "(nobody)");
  EXPECT_EQ(who(cache, "a", at(10)), "alice");
}

TEST(TokenCache, DoesNotTakeWhatHasEnded) {
  TokenCache cache;
  cache.keep(digest("a"), 500, identity("alice"), at(1030), at(1030));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(TokenCache, TellsTokensApartByTheWholeDigest) {
  TokenCache cache;
  const net::Sha256 kept = digest("a");
  cache.keep(kept, 500, identity("alice"), at(10), at(1030));
  for (std::size_t i = 0; i < kept.size(); ++i) {
    net::Sha256 other = kept;
    other[i] ^= 1;
    EXPECT_EQ(cache.find(other, 0, at(10)), nullptr) << i;
  }
}

TEST(TokenCache, IsBoundedAndKeepsWhatIsAskedFor) {
  TokenCache cache(1500);
  cache.keep(digest("a"), 500, identity("alice"), at(10), at(1030));
  cache.keep(digest("b"), 500, identity("bob"), at(10), at(1030));
  cache.keep(digest("c"), 500, identity("carol"), at(10), at(1030));
  EXPECT_EQ(who(cache, "a", at(10)), "alice");
  cache.keep(digest("d"), 501, identity("dave"), at(10), at(1030));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(who(cache, "a", at(10)), "alice");
  EXPECT_EQ(who(cache, "b", at(10)), "(nobody)");
  EXPECT_EQ(who(cache, "c", at(10)), "(nobody)");
  EXPECT_EQ(who(cache, "d", at(10)), "dave");
  cache.keep(digest("e"), 1501, identity("eve"), at(10), at(1030));
  EXPECT_EQ(who(cache, "e", at(10)), "(nobody)") << "it does not push the others out";
  EXPECT_EQ(cache.size(), 2u);
}

TEST(TokenCache, CountsATokenThatComesTwiceOnce) {
  TokenCache cache(1000);
  for (int i = 0; i < 10; ++i) cache.keep(digest("a"), 500, identity("alice"), at(10), at(1030));
  cache.keep(digest("b"), 500, identity("bob"), at(10), at(1030));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(who(cache, "a", at(10)), "alice");
}

TEST(TokenCache, ForgetsAllWhenTheKeysChange) {
  TokenCache cache(1000);
  cache.keep(digest("a"), 1000, identity("alice"), at(10), at(1030));
  EXPECT_EQ(who(cache, "a", at(10), 1), "(nobody)");
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(who(cache, "a", at(10), 0), "(nobody)") << "nor do older keys vouch for it again";
  EXPECT_EQ(who(cache, "b", at(10), 2), "(nobody)");
  cache.keep(digest("b"), 1000, identity("bob"), at(10), at(1030));
  EXPECT_EQ(who(cache, "b", at(10), 2), "bob") << "all of its room is free again";
}

}  // namespace
}  // namespace sluice::policy
