#include "server/key_fetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <mutex>

#include "base/buffer.h"
#include "base/log.h"
#include "event/loop.h"
#include "event/timer.h"
#include "support/fake_dns.h"
#include "support/keys.h"
#include "support/run_until.h"
#include "support/script_server.h"

namespace sluice::server {
namespace {

using namespace std::chrono_literals;
using policy::KeySource;
using test::ScriptServer;

std::string ec_key(std::string_view kid, const test::KeyPair& pair = test::p256_key()) {
  return R"({"kty":"EC","crv":"P-256","kid":")" + std::string(kid) + R"(","x":")" + net::base64url(pair.x(32)) + R"(","y":")" +
         net::base64url(pair.y(32)) + "\"}";
}
std::string set_of(const std::string& keys) { return R"({"keys":[)" + keys + "]}"; }
std::string answer(const std::string& body, const std::string& fields = "", const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Answers each request by what was set for its path; 404 otherwise.
class KeyServer {
 public:
  KeyServer() : server_([this](ScriptServer::Peer& peer) { serve(peer); }) {}
  void set(const std::string& path, std::string octets) {
    const std::lock_guard lock(mutex_);
    answers_[path] = std::move(octets);
  }
  std::vector<std::string> heads() {
    const std::lock_guard lock(mutex_);
    return heads_;
  }
  std::size_t visits() { return heads().size(); }
  std::string origin() const { return "http://" + server_.address().text(); }

 private:
  void serve(ScriptServer::Peer& peer) {
    const std::string head = peer.head();
    std::string octets = answer("", "", "404 Not Found");
    {
      const std::lock_guard lock(mutex_);
      heads_.push_back(head);
      const std::size_t path = head.find(' ') + 1;
      const auto found = answers_.find(head.substr(path, head.find(' ', path) - path));
      if (found != answers_.end()) octets = found->second;
    }
    peer.send(octets);
  }

  std::mutex mutex_;
  std::map<std::string, std::string> answers_;
  std::vector<std::string> heads_;
  ScriptServer server_;  // last: its thread ends first
};

class KeyFetcherTest : public testing::Test {
 protected:
  KeyFetcherTest() {
    log::set_level(Level::off);
    auth_.name = "users";
    auth_.jwt.algorithms = {net::JwsAlgorithm::es256};
    auth_.jwt.source.allow = {*net::Cidr::parse("127.0.0.0/8")};
  }
  ~KeyFetcherTest() override { log::set_level(Level::info); }

  void by_url() { auth_.jwt.source.url = server_.origin() + "/keys"; }
  void by_discovery() {
    auth_.jwt.source.discovery = true;
    auth_.jwt.source.issuer = server_.origin() + "/";
  }
  void watch() {
    if (!source_) source_ = std::make_shared<KeySource>(auth_.jwt.source);
    fetcher_.watch({{&auth_, source_}});
  }
  bool until(const std::function<bool()>& so) { return run_until(loop_, so); }
  std::uint64_t count(KeyRefresh result) {
    const auto facts = fetcher_.facts(loop_.now());
    return facts.empty() ? 0 : facts[0].refreshes[static_cast<std::size_t>(result)];
  }
  std::string text() const { return source_->keys() ? source_->keys()->text : ""; }
  // Somebody misses a key; back when that fetch has ended.
  void miss_a_key() {
    const auto wait = source_->wait(loop_.now(), nullptr);
    ASSERT_TRUE(wait);
    EXPECT_TRUE(until([&] { return wait->over(); }));
  }
  // A set was had; the next answer to a miss comes from what is set now.
  void load(const std::string& keys, const std::string& fields = "") {
    server_.set("/keys", answer(keys, fields));
    by_url();
    watch();
    ASSERT_TRUE(until([&] { return source_->generation() == 1; }));
  }

  KeyServer server_;
  FakeDns dns_;
  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
  net::Resolver resolver_{loop_, dns_.servers()};
  event::Mailbox mailbox_{loop_};
  policy::AuthSettings auth_;
  std::shared_ptr<KeySource> source_;
  KeyFetcher fetcher_{place_, resolver_, mailbox_};
};

TEST_F(KeyFetcherTest, FetchesWhatItIsToldToWatch) {
  load(set_of(ec_key("a")));
  EXPECT_EQ(text(), set_of(ec_key("a")));
  EXPECT_EQ(count(KeyRefresh::ok), 1u);
  const auto facts = fetcher_.facts(loop_.now() + 5s);
  ASSERT_EQ(facts.size(), 1u);
  EXPECT_EQ(facts[0].auth, "users");
  EXPECT_TRUE(facts[0].last_success);
  EXPECT_GE(facts[0].age, 5s);
  EXPECT_LT(facts[0].age, 60s);
}

TEST_F(KeyFetcherTest, TriesAgainUntilThereAreKeys) {
  by_url();
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::status) == 1; }));
  EXPECT_EQ(source_->generation(), 0u);
  EXPECT_FALSE(fetcher_.facts(loop_.now())[0].last_success);
  server_.set("/keys", answer(set_of(ec_key("a"))));
  EXPECT_TRUE(until([&] { return source_->generation() == 1; }));
}

TEST_F(KeyFetcherTest, FetchesAtOnceForWhoMissesAKey) {
  load(set_of(ec_key("a")));
  server_.set("/keys", answer(set_of(ec_key("a") + "," + ec_key("b"))));
  miss_a_key();
  EXPECT_EQ(text(), set_of(ec_key("a") + "," + ec_key("b")));
}

TEST_F(KeyFetcherTest, LetsNobodyWaitWhoMissesAKeySoonAfterAnother) {
  load(set_of(ec_key("a")));
  miss_a_key();
  EXPECT_EQ(server_.visits(), 2u);
  const auto wait = source_->wait(loop_.now(), nullptr);
  ASSERT_TRUE(wait) << "main has not said so yet";
  EXPECT_TRUE(until([&] { return wait->over(); }));
  EXPECT_EQ(source_->wait(loop_.now(), nullptr), nullptr);
  EXPECT_EQ(server_.visits(), 2u);
}

TEST_F(KeyFetcherTest, KeepsWhatItHasWhateverElseComes) {
  load(set_of(ec_key("a")));
  const std::string huge = R"({"keys":[)" + ec_key("a") + R"(],"x":")" + std::string(300'000, 'x') + "\"}";
  std::string hundred_and_one;
  for (int i = 0; i <= 100; ++i) hundred_and_one += (i ? "," : "") + ec_key("k" + std::to_string(i));
  const std::string rsa = R"({"kty":"RSA","n":")" + net::base64url(test::rsa_key().n()) + R"(","e":")" + net::base64url(test::rsa_key().e()) + "\"}";
  struct Case {
    const char* name;
    std::string octets;
    KeyRefresh result;
  };
  const std::vector<Case> cases{
      {"nothing", answer("{}"), KeyRefresh::bad_set},
      {"a page", answer("<!DOCTYPE html><title>Sign in</title>", "Content-Type: text/html\r\n"), KeyRefresh::bad_set},
      {"no keys", answer(set_of("")), KeyRefresh::bad_set},
      {"no key that can be used", answer(set_of(R"({"kty":"EC","crv":"P-192","x":"AA","y":"AA"})")), KeyRefresh::bad_set},
      {"keys of other algorithms", answer(set_of(rsa)), KeyRefresh::bad_set},
      {"a secret", answer(set_of(R"({"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"})")), KeyRefresh::bad_set},
      {"too many keys", answer(set_of(hundred_and_one)), KeyRefresh::bad_set},
      {"too much", answer(huge), KeyRefresh::bad_answer},
      {"an error", answer("{}", "", "503 Service Unavailable"), KeyRefresh::status},
      {"a set with an error", answer(set_of(ec_key("b")), "", "500 Internal Server Error"), KeyRefresh::status},
      {"a redirect", answer("", "Location: " + server_.origin() + "/other\r\n", "302 Found"), KeyRefresh::status},
      {"an unasked 304", "HTTP/1.1 304 Not Modified\r\n\r\n", KeyRefresh::status},
      {"no HTTP", "hello\r\n\r\n", KeyRefresh::bad_answer},
      {"half an answer", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", KeyRefresh::bad_answer},
  };
  server_.set("/other", answer(set_of(ec_key("b"))));
  for (const Case& one : cases) {
    server_.set("/keys", one.octets);
    const std::uint64_t before = count(one.result);
    // Another network that changes nothing: what is there is confirmed at once.
    auth_.jwt.source.allow.push_back(*net::Cidr::parse("10.0.0.1"));
    watch();
    EXPECT_TRUE(until([&] { return count(one.result) > before; })) << one.name;
    EXPECT_EQ(text(), set_of(ec_key("a"))) << one.name;
    EXPECT_EQ(source_->generation(), 1u) << one.name;
  }
}

TEST_F(KeyFetcherTest, AsksWhetherAnythingHasChanged) {
  load(set_of(ec_key("a")), "ETag: \"v1\"\r\nLast-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\n");
  server_.set("/keys", "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
  miss_a_key();
  EXPECT_EQ(count(KeyRefresh::not_modified), 1u);
  EXPECT_EQ(source_->generation(), 1u) << "no worker reads the same again";
  const std::string head = server_.heads()[1];
  EXPECT_NE(head.find("\r\nIf-None-Match: \"v1\"\r\n"), std::string::npos);
  EXPECT_NE(head.find("\r\nIf-Modified-Since: Mon, 23 Nov 2026 00:00:00 GMT\r\n"), std::string::npos);
}

TEST_F(KeyFetcherTest, SendsNoValidatorBackThatIsNotPlain) {
  load(set_of(ec_key("a")), "ETag: \"v\xc3\xbc\"\r\nLast-Modified: " + std::string(300, 'x') + "\r\n");
  miss_a_key();
  EXPECT_EQ(server_.heads()[1].find("If-"), std::string::npos);
  EXPECT_EQ(count(KeyRefresh::ok), 2u);
  EXPECT_EQ(source_->generation(), 1u) << "the same text is no change";
}

TEST_F(KeyFetcherTest, TakesTheKeysAwayWhenTheyAreTooOld) {
  auth_.jwt.source.stale_max = 50ms;
  load(set_of(ec_key("a")));
  server_.set("/keys", answer("", "", "500 Internal Server Error"));
  EXPECT_TRUE(until([&] { return source_->generation() == 2; }));
  EXPECT_EQ(source_->keys(), nullptr);
}

TEST_F(KeyFetcherTest, FindsTheSetByTheIssuersDocument) {
  by_discovery();
  server_.set("/.well-known/openid-configuration",
              answer(R"({"issuer":")" + server_.origin() + R"(/","jwks_uri":")" + server_.origin() + R"(/found"})"));
  server_.set("/found", answer(set_of(ec_key("a"))));
  watch();
  EXPECT_TRUE(until([&] { return source_->generation() == 1; }));
  EXPECT_EQ(server_.visits(), 2u);
}

TEST_F(KeyFetcherTest, BelievesNoDocumentButTheIssuersOwn) {
  by_discovery();
  const std::string good_uri = R"(,"jwks_uri":")" + server_.origin() + R"(/found"})";
  server_.set("/found", answer(set_of(ec_key("a"))));
  const std::vector<std::string> documents{
      R"({"issuer":")" + server_.origin() + "\"" + good_uri,  // without the slash that the configuration has
      R"({"issuer":"https://evil.example/")" + good_uri,
      R"({"issuer":["x"])" + good_uri,
      R"({"jwks_uri":")" + server_.origin() + R"(/found"})",
      R"({"issuer":")" + server_.origin() + R"(/"})",
      R"({"issuer":")" + server_.origin() + R"(/","jwks_uri":"file:///etc/passwd"})",
      R"({"issuer":")" + server_.origin() + R"(/","jwks_uri":"/found"})",
      R"({"issuer":")" + server_.origin() + R"(/","issuer":"x")" + good_uri,
      "<html>",
  };
  std::uint64_t refused = 0;
  for (const std::string& document : documents) {
    server_.set("/.well-known/openid-configuration", answer(document));
    auth_.jwt.source.allow.push_back(*net::Cidr::parse("10.0.0.1"));
    watch();
    ++refused;
    EXPECT_TRUE(until([&] { return count(KeyRefresh::discovery) >= refused; })) << document;
    refused = count(KeyRefresh::discovery);
  }
  EXPECT_EQ(source_->generation(), 0u);
  for (const std::string& head : server_.heads()) EXPECT_EQ(head.find("/found"), std::string::npos) << "the set is not asked for";
}

TEST_F(KeyFetcherTest, ADocumentOpensNoDeniedNetwork) {
  by_discovery();
  server_.set("/.well-known/openid-configuration",
              answer(R"({"issuer":")" + server_.origin() + R"(/","jwks_uri":"https://169.254.169.254/latest/meta-data"})"));
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::denied) == 1; }));
}

TEST_F(KeyFetcherTest, ConnectsToNoDeniedNetwork) {
  by_url();
  auth_.jwt.source.allow.clear();
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::denied) == 1; }));
  EXPECT_EQ(server_.visits(), 0u);
}

TEST_F(KeyFetcherTest, CountsTheWayInWhichItFailed) {
  auth_.jwt.source.url = "https://gone.example/keys";
  dns_.set("gone.example", {.code = 3});
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::dns) == 1; }));
  source_.reset();
  ScriptServer plain([](ScriptServer::Peer& peer) { peer.send("no TLS here\r\n"); });
  auth_.jwt.source.url = "https://" + plain.address().text() + "/keys";
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::tls) == 1; }));
  EXPECT_EQ(count(KeyRefresh::dns), 1u) << "for the life of the process";
}

TEST_F(KeyFetcherTest, AReloadOfTheSameAsksNobodyAndOneWithOtherMeansAsksAtOnce) {
  load(set_of(ec_key("a")), "ETag: \"v1\"\r\n");
  watch();
  bool passed = false;
  event::Timer some(loop_, [&] { passed = true; });
  some.arm(20ms);
  EXPECT_TRUE(until([&] { return passed; }));
  EXPECT_EQ(server_.visits(), 1u);
  auth_.jwt.algorithms.push_back(net::JwsAlgorithm::rs256);
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::ok) == 2; }));
  EXPECT_EQ(source_->generation(), 1u) << "what was had serves meanwhile";
  EXPECT_EQ(server_.heads()[1].find("If-None-Match"), std::string::npos) << "the whole set is judged again";
}

TEST_F(KeyFetcherTest, ASourceThatIsWatchedNoMoreIsAskedForByNobody) {
  load(set_of(ec_key("a")));
  fetcher_.watch({});
  EXPECT_EQ(source_->wait(loop_.now(), nullptr), nullptr);
  EXPECT_TRUE(fetcher_.facts(loop_.now()).empty());
  EXPECT_EQ(text(), set_of(ec_key("a"))) << "connections of the old configuration go on with it";
}

TEST_F(KeyFetcherTest, IsGivenUpInsideAFetch) {
  by_discovery();
  watch();
  fetcher_.watch({});
  source_.reset();
  watch();
  EXPECT_TRUE(until([&] { return count(KeyRefresh::status) == 1; }));
}

}  // namespace
}  // namespace sluice::server
