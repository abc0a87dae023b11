#include "policy/path_binding.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

Identity who(std::string_view claims) {
  Identity identity;
  identity.claims = *Json::parse(claims);
  return identity;
}

TEST(PathBinding, IsAWholeSegment) {
  std::string why;
  const auto path = BoundPath::parse("/t/{claim:tenant}/rooms/{claim:room}/*", why);
  ASSERT_TRUE(path) << why;
  EXPECT_EQ(path->shape, "/t/*/rooms/*/*");
  EXPECT_EQ(path->bindings, (std::vector<PathBinding>{{1, "tenant"}, {3, "room"}}));
  EXPECT_EQ(BoundPath::parse("/chat/*", why)->shape, "/chat/*");
  EXPECT_TRUE(BoundPath::parse("/chat/*", why)->bindings.empty());
  for (const char* bad : {"/a{claim:x}", "/{claim:x}b", "/{claim:}", "/{claim}", "/{room}", "/{claim:x", "/claim:x}", "/{claim:{x}}", "/{}", "/{Claim:x}"}) {
    EXPECT_FALSE(BoundPath::parse(bad, why)) << bad;
  }
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "/{claim:x}";
  EXPECT_FALSE(BoundPath::parse(deep, why));
}

TEST(PathBinding, IsWhatTheClaimSays) {
  const std::vector<PathBinding> room{{1, "room"}};
  struct Case {
    const char* path;
    const char* claims;
    bool good;
  };
  for (const Case& one : std::vector<Case>{
           {"/rooms/a", R"({"room":"a"})", true},
           {"/rooms/a/below", R"({"room":"a"})", true},
           {"/rooms/A", R"({"room":"a"})", false},
           {"/rooms/a", R"({"room":["b","a"]})", true},
           {"/rooms/a", R"({"room":["b",["a"]]})", false},
           {"/rooms/a", R"({"room":{"a":1}})", false},
           {"/rooms/a", "{}", false},
           {"/rooms/a", R"({"room":null})", false},
           {"/rooms/a", R"({"room":""})", false},
           {"/rooms/", R"({"room":""})", false},
           {"/rooms", R"({"room":""})", false},
           {"/rooms/7", R"({"room":7})", true},
           {"/rooms/true", R"({"room":true})", true},
           {"/rooms/a%20b", R"({"room":"a b"})", true},
           {"/rooms/a%20b", R"({"room":"a%20b"})", false},
           {"/rooms/a%2520b", R"({"room":"a%20b"})", true},
           {"/rooms/caf%C3%A9", R"({"room":"caf\u00e9"})", true},
           {"/rooms/a", R"({"room":"a/b"})", false},
           {"/rooms/*", R"({"room":"a"})", false},
           {"/rooms/*", R"({"room":"*"})", true},
       }) {
    EXPECT_EQ(bound(room, one.path, who(one.claims)), one.good) << one.path << " " << one.claims;
  }
}

TEST(PathBinding, AllOfThemMustHold) {
  const std::vector<PathBinding> both{{0, "tenant"}, {2, "room"}};
  const Identity identity = who(R"({"tenant":"t","room":["a","b"]})");
  EXPECT_TRUE(bound(both, "/t/rooms/b", identity));
  EXPECT_FALSE(bound(both, "/u/rooms/b", identity));
  EXPECT_FALSE(bound(both, "/t/rooms/c", identity));
  EXPECT_TRUE(bound({}, "/u/rooms/b", identity));
}

}  // namespace
}  // namespace sluice::policy
