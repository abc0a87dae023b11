#include "config/routes.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

RouteSettings route(std::string host, std::string path, std::vector<std::string> listeners = {}) {
  RouteSettings out;
  out.host = std::move(host);
  out.path = std::move(path);
  std::string why;
  out.bindings = policy::BoundPath::parse(out.path, why)->bindings;
  out.listeners = std::move(listeners);
  return out;
}

TEST(Routes, ExactHostGoesBeforeWildcardBeforeNone) {
  const std::vector<RouteSettings> settings{route("", "/*"), route("*.example.com", "/*"),
                                            route("*.eu.example.com", "/*"), route("a.example.com", "/*")};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("l", "a.example.com", "/x"), 3);
  EXPECT_EQ(routes.find("l", "b.example.com", "/x"), 1);
  EXPECT_EQ(routes.find("l", "b.eu.example.com", "/x"), 2);
  EXPECT_EQ(routes.find("l", "example.com", "/x"), 0) << "a wildcard needs a label in front";
  EXPECT_EQ(routes.find("l", "evilexample.com", "/x"), 0);
  EXPECT_EQ(routes.find("l", ".example.com", "/x"), 0);
  EXPECT_EQ(routes.find("l", "", "/x"), 0);
}

TEST(Routes, ExactPathGoesBeforeTheLongestPrefix) {
  const std::vector<RouteSettings> settings{route("", "/*"), route("", "/chat/*"), route("", "/chat/rooms/*"),
                                            route("", "/chat"), route("", "/chat/rooms/1")};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("l", "h", "/chat"), 3);
  EXPECT_EQ(routes.find("l", "h", "/chat/"), 1);
  EXPECT_EQ(routes.find("l", "h", "/chat/x"), 1);
  EXPECT_EQ(routes.find("l", "h", "/chat/rooms"), 1);
  EXPECT_EQ(routes.find("l", "h", "/chat/rooms/1"), 4);
  EXPECT_EQ(routes.find("l", "h", "/chat/rooms/12"), 2);
  EXPECT_EQ(routes.find("l", "h", "/chatter"), 0);
  EXPECT_EQ(routes.find("l", "h", "/"), 0);
}

TEST(Routes, AClaimInThePathGoesBetweenExactAndPrefix) {
  const std::vector<RouteSettings> settings{route("", "/rooms/*"),         route("", "/rooms/{claim:room}"),
                                            route("", "/rooms/lobby"),     route("", "/rooms/{claim:room}/*"),
                                            route("", "/rooms/{claim:a}/{claim:b}"), route("", "/rooms/x/{claim:b}")};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("l", "h", "/rooms/lobby"), 2);
  EXPECT_EQ(routes.find("l", "h", "/rooms/a"), 1);
  EXPECT_EQ(routes.find("l", "h", "/rooms/"), 0) << "no claim is empty";
  EXPECT_EQ(routes.find("l", "h", "/rooms"), -1);
  EXPECT_EQ(routes.find("l", "h", "/rooms/a/"), 3);
  EXPECT_EQ(routes.find("l", "h", "/rooms/a/b"), 4);
  EXPECT_EQ(routes.find("l", "h", "/rooms/x/b"), 5);
  EXPECT_EQ(routes.find("l", "h", "/rooms/a/b/c"), 3);
  EXPECT_EQ(routes.find("l", "h", "/other/a"), -1);
}

TEST(Routes, AClaimOnAnotherListenerIsNotInTheWay) {
  const std::vector<RouteSettings> settings{route("", "/{claim:a}", {"one"}), route("", "/*")};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("one", "h", "/x"), 0);
  EXPECT_EQ(routes.find("two", "h", "/x"), 1);
}

TEST(Routes, ExactPathMatchesNothingBelowIt) {
  const std::vector<RouteSettings> settings{route("", "/chat")};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("l", "h", "/chat"), 0);
  for (const char* path : {"/chat/", "/chat/x", "/cha", "/Chat", "/", ""})
    EXPECT_EQ(routes.find("l", "h", path), -1) << path;
}

TEST(Routes, AMissUnderTheExactHostFallsThrough) {
  const std::vector<RouteSettings> settings{route("a.example.com", "/one"), route("*.example.com", "/two"),
                                            route("", "/three")};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("l", "a.example.com", "/one"), 0);
  EXPECT_EQ(routes.find("l", "a.example.com", "/two"), 1);
  EXPECT_EQ(routes.find("l", "a.example.com", "/three"), 2);
  EXPECT_EQ(routes.find("l", "a.example.com", "/four"), -1);
}

TEST(Routes, ListenersRestrictAndTheRestrictedOneGoesFirst) {
  const std::vector<RouteSettings> settings{route("", "/*"), route("", "/*", {"tls"}),
                                            route("", "/only", {"tls"})};
  const Routes routes(settings);
  EXPECT_EQ(routes.find("tls", "h", "/x"), 1);
  EXPECT_EQ(routes.find("plain", "h", "/x"), 0);
  EXPECT_EQ(routes.find("tls", "h", "/only"), 2);
  EXPECT_EQ(routes.find("plain", "h", "/only"), 0);
}

TEST(Routes, FindsEachOfManyAndTheirOrderIsTheOrderOfSearch) {
  std::vector<RouteSettings> settings;
  for (int i = 0; i < 2000; ++i)
    settings.push_back(route("h" + std::to_string(i % 50), "/p" + std::to_string(i) + "/*"));
  const Routes routes(settings);
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(routes.find("l", "h" + std::to_string(i % 50), "/p" + std::to_string(i) + "/x"), i);
  }
  EXPECT_EQ(routes.order().size(), 2000U);
  EXPECT_EQ(routes.find("l", "h0", "/" + std::string(8000, 'a')), -1);
}

TEST(Routes, NoRoutesFindNothing) {
  const std::vector<RouteSettings> none;
  EXPECT_EQ(Routes(none).find("l", "h", "/"), -1);
}

}  // namespace
}  // namespace sluice::config
