#include "server/own_request.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/buffer.h"
#include "event/loop.h"
#include "support/fake_dns.h"
#include "support/run_until.h"
#include "support/script_server.h"

namespace sluice::server {
namespace {

using namespace std::chrono_literals;
using test::ScriptServer;

net::Address at(std::string_view ip) { return *net::Address::parse(ip, 443); }
std::vector<net::Cidr> blocks(std::initializer_list<std::string_view> texts) {
  std::vector<net::Cidr> all;
  for (const std::string_view text : texts) all.push_back(*net::Cidr::parse(text));
  return all;
}

TEST(MayReach, RefusesEveryAddressThatOnlyTheInsideKnows) {
  for (const char* denied :
       {"127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "2002:7f00:1::"}) {
    EXPECT_FALSE(may_reach(at(denied), true, {})) << denied;
  }
  EXPECT_TRUE(may_reach(at("8.8.8.8"), true, {}));
  EXPECT_TRUE(may_reach(at("2606:4700::1111"), true, {}));
  EXPECT_FALSE(may_reach(*net::Address::parse_bind("unix:/run/x"), true, blocks({"10.0.0.0/8"})));
}

TEST(MayReach, OpensOnlyWhatIsAllowedWithinADeniedNetwork) {
  const auto allow = blocks({"10.1.0.0/16", "::1"});
  EXPECT_TRUE(may_reach(at("10.1.2.3"), true, allow));
  EXPECT_TRUE(may_reach(at("::ffff:10.1.2.3"), true, allow));
  EXPECT_TRUE(may_reach(at("::1"), true, allow));
  EXPECT_FALSE(may_reach(at("10.2.0.1"), true, allow));
  EXPECT_FALSE(may_reach(at("127.0.0.1"), true, allow));
  EXPECT_TRUE(may_reach(at("8.8.8.8"), true, allow)) << "what is not denied needs no leave";
  EXPECT_FALSE(may_reach(at("127.0.0.1"), true, blocks({"0.0.0.0/0"}))) << "everything is not its network";
}

TEST(MayReach, GoesWithoutTlsOnlyToWhatIsAllowed) {
  EXPECT_FALSE(may_reach(at("8.8.8.8"), false, {}));
  EXPECT_TRUE(may_reach(at("127.0.0.1"), false, blocks({"127.0.0.1"})));
  EXPECT_FALSE(may_reach(at("127.0.0.2"), false, blocks({"127.0.0.1"})));
  EXPECT_TRUE(may_reach(at("8.8.8.8"), false, blocks({"8.8.8.8"})));
}

class OwnRequestTest : public testing::Test {
 protected:
  using Answer = std::expected<http::ClientAnswer, OwnRequest::Failure>;

  static OwnRequestSettings settings(const std::string& url, std::initializer_list<std::string_view> allow = {"127.0.0.0/8"}) {
    OwnRequestSettings made;
    std::string why;
    made.url = http::Url::parse(url, why).value();
    made.allow = blocks(allow);
    made.timeout = 20s;
    return made;
  }
  Answer ask(OwnRequestSettings how) {
    std::optional<Answer> got;
    OwnRequest request(place_, resolver_, std::move(how), [&](Answer answer) { got = std::move(answer); });
    EXPECT_FALSE(got) << "never from inside the constructor";
    EXPECT_TRUE(run_until(loop_, [&] { return got.has_value(); }));
    return std::move(*got);
  }
  std::string failure(OwnRequestSettings how) {
    const Answer answer = ask(std::move(how));
    return answer ? "" : answer.error().why;
  }

  FakeDns dns_;
  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
  net::Resolver resolver_{loop_, dns_.servers()};
};

TEST_F(OwnRequestTest, AsksTheHostOfTheUrlAndNoOther) {
  std::string head;
  ScriptServer server([&](ScriptServer::Peer& peer) {
    head = peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
  });
  dns_.set("id.example", {.v4 = {"127.0.0.1"}});
  const std::string authority = "id.example:" + std::to_string(server.address().port());
  auto how = settings("http://" + authority + "/keys?v=1");
  how.fields = {{"Accept", "application/json"}};
  const Answer answer = ask(std::move(how));
  ASSERT_TRUE(answer) << answer.error().why;
  EXPECT_EQ(answer->body, "{}");
  EXPECT_EQ(head, "GET /keys?v=1 HTTP/1.1\r\nHost: " + authority +
                      "\r\nConnection: close\r\nUser-Agent: sluice\r\nAccept: application/json\r\n\r\n");
}

TEST_F(OwnRequestTest, ConnectsToNoAddressThatIsDeniedWhateverItsName) {
  ScriptServer server([&](ScriptServer::Peer& peer) { peer.head(); });
  const std::string port = std::to_string(server.address().port());
  dns_.set("inside.example", {.v4 = {"127.0.0.1"}});
  for (const std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "inside.example"}) {
    const Answer answer = ask(settings("http://" + host + ":" + port + "/", {"10.0.0.0/8"}));
    ASSERT_FALSE(answer) << host;
    EXPECT_EQ(answer.error().fault, OwnRequest::Fault::denied) << host;
  }
  EXPECT_EQ(server.visits(), 0);
}

TEST_F(OwnRequestTest, LeavesOutTheDeniedAmongTheAddressesOfAName) {
  ScriptServer server([&](ScriptServer::Peer& peer) {
    peer.head();
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
  });
  dns_.set("both.example", {.v4 = {"127.0.0.2", "127.0.0.1"}});
  const Answer answer = ask(settings("http://both.example:" + std::to_string(server.address().port()) + "/", {"127.0.0.1"}));
  ASSERT_TRUE(answer) << answer.error().why;
  EXPECT_EQ(answer->head.status, 204);
}

TEST_F(OwnRequestTest, HandsRedirectsOutAndFollowsNone) {
  ScriptServer other([&](ScriptServer::Peer& peer) { peer.head(); });
  ScriptServer server([&](ScriptServer::Peer& peer) {
    peer.head();
    peer.send("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:" + std::to_string(other.address().port()) + "/\r\n\r\n");
  });
  const Answer answer = ask(settings("http://127.0.0.1:" + std::to_string(server.address().port()) + "/"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->head.status, 302);
  EXPECT_EQ(other.visits(), 0);
}

TEST_F(OwnRequestTest, SaysWhatWentWrong) {
  dns_.set("gone.example", {.code = 3});
  Answer answer = ask(settings("http://gone.example/"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, OwnRequest::Fault::dns);

  std::string closed;
  {
    ScriptServer server([](ScriptServer::Peer&) {});
    closed = "http://127.0.0.1:" + std::to_string(server.address().port()) + "/";
  }
  answer = ask(settings(closed));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, OwnRequest::Fault::connect);

  ScriptServer large([](ScriptServer::Peer& peer) {
    peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n");
    peer.wait_end();
  });
  EXPECT_EQ(failure(settings("http://127.0.0.1:" + std::to_string(large.address().port()) + "/")),
            "the body of the answer is too large");
}

TEST_F(OwnRequestTest, EndsAtItsDeadlineWhereverItIs) {
  ScriptServer silent([](ScriptServer::Peer& peer) { peer.wait_end(); });
  auto how = settings("http://127.0.0.1:" + std::to_string(silent.address().port()) + "/");
  how.timeout = 30ms;
  Answer answer = ask(std::move(how));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, OwnRequest::Fault::timeout);

  dns_.set("silent.example", {.silent = true});
  how = settings("http://silent.example/");
  how.timeout = 30ms;
  answer = ask(std::move(how));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, OwnRequest::Fault::timeout);
}

TEST_F(OwnRequestTest, IsGivenUpWithoutACall) {
  dns_.set("id.example", {.v4 = {"127.0.0.1"}});
  bool called = false;
  for (const char* url : {"http://id.example/", "http://127.0.0.1/", "http://10.0.0.1/"}) {
    OwnRequest request(place_, resolver_, settings(url), [&](Answer) { called = true; });
  }
  const int before = dns_.questions();
  bool answered = false;
  resolver_.resolve("id.example", 80, [&](net::Resolver::Answer) { answered = true; });
  EXPECT_TRUE(run_until(loop_, [&] { return answered && dns_.questions() > before; }));
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace sluice::server
