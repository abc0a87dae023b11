#include "http/client.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/buffer.h"
#include "event/loop.h"
#include "support/run_until.h"
#include "support/script_server.h"

namespace sluice::http {
namespace {

using namespace std::chrono_literals;
using sluice::run_until;
using test::ScriptServer;

class ClientTest : public testing::Test {
 protected:
  ClientRequest request(const net::Address& address) {
    ClientRequest made;
    made.addresses = {address};
    made.fields = {{"Host", "app.test"}, {"Connection", "close"}};
    made.timeout = 20s;
    return made;
  }
  Result<ClientAnswer> ask(ClientRequest request) {
    std::optional<Result<ClientAnswer>> got;
    Client client(place_, std::move(request), [&](Result<ClientAnswer> answer) { got = std::move(answer); });
    EXPECT_FALSE(got) << "never from inside the constructor";
    EXPECT_TRUE(run_until(loop_, [&] { return got.has_value(); }));
    return got ? std::move(*got) : Result<ClientAnswer>(fail(Errc::internal));
  }
  // What comes of an answer of these octets.
  Result<ClientAnswer> answered(const std::string& octets, std::function<void(ClientRequest&)> change = {}) {
    ScriptServer server([&](ScriptServer::Peer& peer) {
      if (peer.head().empty()) return;
      peer.send(octets);
    });
    ClientRequest made = request(server.address());
    if (change) change(made);
    return ask(std::move(made));
  }
  Errc error_of(const std::string& octets, std::function<void(ClientRequest&)> change = {}) {
    const auto answer = answered(octets, std::move(change));
    return answer ? Errc::none : answer.error().code;
  }

  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
};

TEST_F(ClientTest, SendsExactlyThisAndReadsTheAnswer) {
  std::string head;
  std::string body;
  ScriptServer server([&](ScriptServer::Peer& peer) {
    head = peer.head();
    peer.until(4);
    body = peer.in;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-App: 1\r\n\r\nhello");
    peer.wait_end();
  });
  ClientRequest made = request(server.address());
  made.method = "POST";
  made.target = "/check?x=1";
  made.body = "body";
  const auto answer = ask(std::move(made));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->head.status, 200);
  EXPECT_EQ(*answer->head.find("x-app"), "1");
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(head, "POST /check?x=1 HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(body, "body");
}

TEST_F(ClientTest, ReadsBodiesHoweverTheyEnd) {
  EXPECT_EQ(answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")->body, "abcde");
  EXPECT_EQ(answered("HTTP/1.1 200 OK\r\n\r\nto the end")->body, "to the end");
  EXPECT_EQ(answered("HTTP/1.1 204 No Content\r\n\r\n")->body, "");
  EXPECT_EQ(answered("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")->body, "ok");
}

TEST_F(ClientTest, RefusesWhatIsMalformedCutOrTooMuch) {
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"), Errc::be_bad_head);
  EXPECT_EQ(error_of("SSH-2.0-OpenSSH\r\n"), Errc::be_bad_head);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n"), Errc::be_bad_head);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Errc::be_bad_head);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x')), Errc::be_bad_head);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), Errc::be_lost);
  EXPECT_EQ(error_of("HTTP/1.1 200"), Errc::be_lost);
  EXPECT_EQ(error_of(""), Errc::be_lost);
  EXPECT_EQ(error_of("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Errc::be_bad_head) << "it was not asked for";
  std::string interim;
  for (int i = 0; i < 6; ++i) interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
  EXPECT_EQ(error_of(interim), Errc::be_bad_head);
}

TEST_F(ClientTest, BoundsTheBody) {
  const auto small = [](ClientRequest& request) { request.max_body = 4; };
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", small), Errc::too_big) << "before any of it came";
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\n\r\n12345", small), Errc::too_big);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n", small), Errc::too_big);
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1234", small), Errc::none);
  const auto head_only = [](ClientRequest& request) { request.head_only = true; };
  EXPECT_EQ(error_of("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", head_only), Errc::none);
}

TEST_F(ClientTest, FollowsNoRedirect) {
  const auto answer = answered("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->head.status, 302);
}

TEST_F(ClientTest, HasOneDeadlineForEverything) {
  ScriptServer server([](ScriptServer::Peer& peer) {
    peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    peer.wait_end();
  });
  ClientRequest made = request(server.address());
  made.timeout = 50ms;
  const auto answer = ask(std::move(made));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::be_timeout);
}

TEST_F(ClientTest, TriesItsAddressesInTurn) {
  net::Address dead;
  {
    ScriptServer gone([](ScriptServer::Peer&) {});
    dead = gone.address();
  }
  ScriptServer server([](ScriptServer::Peer& peer) {
    peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  ClientRequest made = request(dead);
  made.addresses.push_back(server.address());
  EXPECT_TRUE(ask(std::move(made)));
  EXPECT_EQ(ask(request(dead)).error().code, Errc::be_connect);
  ClientRequest nowhere = request(dead);
  nowhere.addresses.clear();
  EXPECT_EQ(ask(std::move(nowhere)).error().code, Errc::no_backend);
}

TEST_F(ClientTest, GivesTheStreamAfterAnUpgrade) {
  ScriptServer server([](ScriptServer::Peer& peer) {
    peer.head();
    peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nfirst");
    peer.wait_end();
  });
  ClientRequest made = request(server.address());
  made.upgrade = true;
  std::optional<Result<ClientAnswer>> got;
  Client client(place_, std::move(made), [&](Result<ClientAnswer> answer) { got = std::move(answer); });
  ASSERT_TRUE(run_until(loop_, [&] { return got.has_value(); }));
  ASSERT_TRUE(*got);
  EXPECT_EQ((*got)->head.status, 101);
  const std::unique_ptr<net::Stream> stream = client.take_stream();
  ASSERT_TRUE(run_until(loop_, [&] {
    if (stream->received().size() < 5) stream->fill();
    stream->settle();
    return stream->received().size() >= 5;
  }));
  EXPECT_EQ(as_text(stream->received()), "first");
  stream->close();
}

TEST_F(ClientTest, MayBeGivenUp) {
  ScriptServer server([](ScriptServer::Peer& peer) { peer.wait_end(); });
  auto client = std::make_unique<Client>(place_, request(server.address()), [](Result<ClientAnswer>) { FAIL(); });
  ASSERT_TRUE(run_until(loop_, [&] { return server.visits() > 0; }));
  client.reset();
}

}  // namespace
}  // namespace sluice::http
