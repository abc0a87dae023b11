#include "server/connection_query.h"

#include <gtest/gtest.h>

namespace sluice::server {
namespace {

TEST(ConnectionQuery, ReadsTheLimit) {
  EXPECT_EQ(ConnectionQuery::parse("")->limit, 100u);
  EXPECT_EQ(ConnectionQuery::parse("limit=1")->limit, 1u);
  EXPECT_EQ(ConnectionQuery::parse("limit=10000")->limit, 10'000u);
}

TEST(ConnectionQuery, ReadsFilters) {
  const auto query = ConnectionQuery::parse("subject=a%20b&route=%2Fchat&auth=users&method=jwt&claim=role%3Aa:b&limit=7");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->subject, "a b");
  EXPECT_EQ(query->route, "/chat");
  EXPECT_EQ(query->auth, "users");
  EXPECT_EQ(query->method, "jwt");
  EXPECT_EQ(query->claim, "role");
  EXPECT_EQ(query->value, "a:b");
  EXPECT_EQ(query->limit, 7u);
  const auto filter = query->filter(3);
  EXPECT_EQ(filter.subject, "a b");
  EXPECT_EQ(filter.claim, policy::claim_mark("role", "a:b", 3));
  EXPECT_FALSE(ConnectionQuery::parse("subject=a")->filter(3).claim);
  EXPECT_EQ(ConnectionQuery::parse("subject=a+b")->subject, "a+b");
}

TEST(ConnectionQuery, IgnoresNothing) {
  for (const char* query :
       {"limit", "limit=", "limit=0", "limit=-1", "limit=+1", "limit=10001", "limit=1x", "limit=1&limit=2",
        "limit=99999999999999999999999", "subject", "subject=", "subject=a&subject=b", "Subject=a", "user=a", "=a", "&", "a",
        "subject=%4", "subject=%zz", "claim=role", "claim=:x", "claim=role:", "claim=a:b&claim=c:d"}) {
    EXPECT_FALSE(ConnectionQuery::parse(query)) << query;
  }
}

}  // namespace
}  // namespace sluice::server
