#include "http/trace.h"

#include <gtest/gtest.h>

#include "unit/http/heads.h"

namespace sluice::http {
namespace {

const std::string kGood = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceParent, FollowsTheGrammar) {
  EXPECT_TRUE(valid_traceparent(kGood));
  EXPECT_TRUE(valid_traceparent("cc" + kGood.substr(2)));
  EXPECT_TRUE(valid_traceparent("cc" + kGood.substr(2) + "-what-comes"));
  EXPECT_TRUE(valid_traceparent(fresh_traceparent()));
  EXPECT_NE(fresh_traceparent(), fresh_traceparent());
}

TEST(TraceParent, IsTakenOverFromATrustedPeerOnly) {
  Head head;
  head.fields = {{"Traceparent", kGood}};
  EXPECT_EQ(request_traceparent(head, true), kGood);
  const std::string fresh = request_traceparent(head, false);
  EXPECT_NE(fresh, kGood);
  EXPECT_TRUE(valid_traceparent(fresh));
  head.fields.push_back({"traceparent", kGood});  // twice: neither
  EXPECT_NE(request_traceparent(head, true), kGood);
  head.fields = {{"traceparent", "00-bad"}};
  EXPECT_TRUE(valid_traceparent(request_traceparent(head, true)));
}

TEST(TraceParent, RefusesTheRest) {
  for (std::size_t size = 0; size < kGood.size(); ++size) EXPECT_FALSE(valid_traceparent(kGood.substr(0, size)));
  for (std::size_t at = 0; at < kGood.size(); ++at) {
    for (const char c : {'A', 'g', ' ', '/'}) {
      std::string bad = kGood;
      bad[at] = c;
      EXPECT_FALSE(valid_traceparent(bad)) << bad;
    }
  }
  EXPECT_FALSE(valid_traceparent(kGood + "-x"));
  EXPECT_FALSE(valid_traceparent("ff" + kGood.substr(2)));
  EXPECT_FALSE(valid_traceparent("cc" + kGood.substr(2) + "x"));
  EXPECT_FALSE(valid_traceparent("cc" + kGood.substr(2) + "-a b"));
  EXPECT_FALSE(valid_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
  EXPECT_FALSE(valid_traceparent("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
}

TEST(TraceState, FollowsTheGrammar) {
  for (const std::string_view good : {"", "a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "t@sys=x , 1a/b*_-=y z", ",a=1,"}) {
    EXPECT_TRUE(valid_tracestate(good)) << good;
  }
  for (const std::string_view bad : {"a", "=1", "a=", "A=1", "a=b=c", "@a=1", "a@=1", "a@b@c=1", "a=\xc3", "a b=1"}) {
    EXPECT_FALSE(valid_tracestate(bad)) << bad;
  }
  std::string many = "a=1";
  for (int i = 1; i < 32; ++i) many += ",a=1";
  EXPECT_TRUE(valid_tracestate(many));
  EXPECT_FALSE(valid_tracestate(many + ",a=1"));
}

TEST(TraceFields, StateGoesWithItsParent) {
  const auto both = [](std::string_view parent, std::string_view state) {
    const TraceFields found = trace_fields(with_fields({{"traceparent", parent}, {"tracestate", state}}));
    return std::pair(found.parent, found.state);
  };
  EXPECT_EQ(both(kGood, "a=1"), std::pair(true, true));
  EXPECT_EQ(both(kGood, "A"), std::pair(true, false));
  EXPECT_EQ(both("00-x", "a=1"), std::pair(false, false));
  EXPECT_FALSE(trace_fields(with_fields({{"tracestate", "a=1"}})).state);
  EXPECT_FALSE(trace_fields(with_fields({{"traceparent", kGood}, {"Traceparent", kGood}})).parent);
  EXPECT_FALSE(trace_fields(with_fields({{"traceparent", kGood}, {"Traceparent", kGood}, {"traceparent", kGood}})).parent);
}

}  // namespace
}  // namespace sluice::http
