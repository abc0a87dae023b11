// The gateway's own endpoints: what is asked of the store of tickets and of main is answered in whatever order with the end of the
// time and the client's own end; bodies come cut at every place.
#include <gtest/gtest.h>

#include <list>

#include "policy/jwt.h"
#include "support/keys.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using policy::TicketStore;

config::Settings with_endpoints() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.jwt.issuer = "https://id.example.com";
  auth.jwt.audience = {"chat"};
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}, {policy::Carrier::Kind::ticket, "ticket"}};
  auth.endpoints.paths = {"/tickets", "/refresh", "/logout"};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  return settings;
}

std::string mint(const std::string& more) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                                 R"({"iss":"https://id.example.com","aud":"chat","sub":"ann","iat":)" + std::to_string(now) +
                                     ",\"exp\":" + std::to_string(now + 3600) + more + "}", why);
  if (!text) throw std::runtime_error(why);
  return *text;
}

// Answers when the test says so.
class HeldStore final : public TicketStore {
 public:
  std::unique_ptr<Question> put(const Key&, std::string record, Duration, Instant, Kept done) override {
    records.push_back(std::move(record));
    return std::make_unique<Held>(*this, std::move(done), Taken());
  }
  std::unique_ptr<Question> take(const Key&, Instant, Taken done) override {
    return std::make_unique<Held>(*this, Kept(), std::move(done));
  }
  void answer(Result<std::optional<std::string>> with) {
    const auto waiting = asked;
    for (Held* const one : waiting) {
      if (std::ranges::find(asked, one) == asked.end()) continue;
      if (one->kept) {
        std::exchange(one->kept, nullptr)(with ? Result<void>() : fail(with.error()));
      } else if (one->taken) {
        std::exchange(one->taken, nullptr)(with);
      }
    }
  }

  struct Held final : Question {
    Held(HeldStore& its_store, Kept its_kept, Taken its_taken)
        : store(its_store), kept(std::move(its_kept)), taken(std::move(its_taken)) {
      store.asked.push_back(this);
    }
    ~Held() override { store.asked.remove(this); }
    HeldStore& store;
    Kept kept;
    Taken taken;
  };
  std::list<Held*> asked;
  std::vector<std::string> records;
};

std::string post(std::string_view path, std::string_view fields, std::string_view body = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: gw.test\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

class Endpoints : public ::testing::Test {
 protected:
  Endpoints() { house_.shared_tickets = &store_; }

  Client& send(const std::string& octets) {
    Client& client = house_.connect();
    client.peer.raw_only = true;
    client.wire.send(octets);
    house_.run();
    return client;
  }
  std::string for_ticket() { return post("/tickets", "Authorization: Bearer " + token_ + "\r\n"); }
  std::string for_logout(const std::string& jti) {
    return post("/logout", "Content-Type: application/x-www-form-urlencoded\r\n",
                "logout_token=" + mint(R"(,"sid":"s","jti":")" + jti +
                                       R"(","events":{"http://schemas.openid.net/event/backchannel-logout":{}})"));
  }
  static std::string with_ticket(char octet = 'A') { return upgrade_request("/ws?ticket=" + std::string(43, octet)); }
  // What the store says of a ticket of ann's.
  Result<std::optional<std::string>> record() {
    return std::string(R"({"auth":"users","client":"","method":"jwt","subject":"ann","claims":"{\"sub\":\"ann\",\"jti\":\"j\"}"})");
  }
  static std::string status(const Client& client) { return client.wire.out.substr(0, 12); }
  std::uint64_t refused(Errc code) { return house_.worker_tally().rejects[static_cast<std::size_t>(code)].get(); }
  std::uint64_t tickets(session::WorkerTally::Ticket what) {
    return house_.worker_tally().tickets[static_cast<std::size_t>(what)].get();
  }
  void expect_clean() {
    house_.hang_up();
    house_.run();
    house_.advance(20s);
    EXPECT_EQ(store_.asked.size(), 0u);
    EXPECT_EQ(house_.alive(), 0u);
    EXPECT_EQ(house_.admitted(), 0u);
    EXPECT_EQ(house_.pool().lent(), 0u);
    EXPECT_EQ(house_.worker_tally().handshaking.get(), 0);
  }

  HeldStore store_;
  SimHouse house_{with_endpoints()};
  std::string token_ = mint(R"(,"jti":"j")");
};

TEST_F(Endpoints, ATicketIsGivenOutOnceItIsKept) {
  Client& client = send(for_ticket());
  EXPECT_EQ(client.wire.out, "");
  ASSERT_EQ(store_.records.size(), 1u);
  EXPECT_EQ(store_.records[0].find(token_), std::string::npos) << "no token in it";
  EXPECT_EQ(tickets(session::WorkerTally::Ticket::issued), 0u);
  store_.answer(std::nullopt);
  house_.run();
  EXPECT_EQ(status(client), "HTTP/1.1 200");
  EXPECT_EQ(tickets(session::WorkerTally::Ticket::issued), 1u);
  EXPECT_EQ(house_.worker_tally().handshaking.get(), 0) << "between two requests it is no unfinished handshake";
  client.wire.send(for_ticket());
  house_.run();
  store_.answer(std::nullopt);
  house_.run();
  EXPECT_EQ(client.wire.out.rfind("HTTP/1.1 200"), client.wire.out.size() / 2);
  expect_clean();
}

TEST_F(Endpoints, AStoreThatFailsOrSaysNothingIsAFaultOfOurs) {
  Client& failed = send(for_ticket());
  store_.answer(fail(Errc::auth_unavailable, Side::gateway));
  house_.run();
  EXPECT_EQ(status(failed), "HTTP/1.1 503");
  Client& silent = send(for_ticket());
  house_.advance(1900ms);
  EXPECT_EQ(silent.wire.out, "");
  house_.advance(100ms);
  EXPECT_EQ(status(silent), "HTTP/1.1 503");
  EXPECT_EQ(store_.asked.size(), 0u);
  EXPECT_EQ(tickets(session::WorkerTally::Ticket::unavailable), 2u);
  EXPECT_EQ(refused(Errc::auth_unavailable), 2u);
  expect_clean();
}

TEST_F(Endpoints, ATicketOpensAConnectionOnceTheStoreHasItsRecord) {
  Client& client = send(with_ticket());
  EXPECT_EQ(client.wire.out, "");
  EXPECT_EQ(house_.dials(), 0u) << "no server hears of it before";
  store_.answer(record());
  house_.run();
  EXPECT_EQ(status(client), "HTTP/1.1 101");
  EXPECT_EQ(house_.last().wire.out.find("ticket"), std::string::npos);
  EXPECT_EQ(tickets(session::WorkerTally::Ticket::used), 1u);
  policy::Revocation revocation;
  revocation.kind = policy::Revocation::Kind::jti;
  revocation.value = "j";
  EXPECT_EQ(house_.kick(revocation), 1u) << "it stands on the token that the ticket was issued for";
  house_.run();
  expect_clean();
}

TEST_F(Endpoints, WhoIsRevokedIsNotLetInByATicketOfBefore) {
  Client& client = send(with_ticket());
  policy::Revocation revocation;
  revocation.id = "r";
  revocation.kind = policy::Revocation::Kind::jti;
  revocation.value = "j";
  revocation.expires = house_.clock.wall() + 1h;
  ASSERT_NE(house_.revocations().add(revocation), nullptr);
  store_.answer(record());
  house_.run();
  EXPECT_EQ(status(client), "HTTP/1.1 403");
  EXPECT_EQ(refused(Errc::revoked), 1u);
  expect_clean();
}

TEST_F(Endpoints, AnUnknownTicketAndASilentStore) {
  Client& unknown = send(with_ticket());
  store_.answer(std::nullopt);
  house_.run();
  EXPECT_EQ(status(unknown), "HTTP/1.1 401");
  EXPECT_EQ(refused(Errc::bad_ticket), 1u);
  Client& silent = send(with_ticket());
  house_.advance(2s);
  EXPECT_EQ(status(silent), "HTTP/1.1 503");
  EXPECT_EQ(store_.asked.size(), 0u);
  Client& broken = send(with_ticket());
  store_.answer(fail(Errc::auth_unavailable, Side::gateway));
  house_.run();
  EXPECT_EQ(status(broken), "HTTP/1.1 503");
  EXPECT_EQ(tickets(session::WorkerTally::Ticket::refused), 1u);
  EXPECT_EQ(tickets(session::WorkerTally::Ticket::unavailable), 2u);
  EXPECT_EQ(house_.dials(), 0u);
  expect_clean();
}

TEST_F(Endpoints, TheAnswerTheEndOfTheTimeAndTheClientsEndInEveryOrder) {
  enum class What { answer, time, end };
  std::vector<What> order{What::answer, What::time, What::end};
  for (const bool issue : {false, true}) {
    std::ranges::sort(order);
    do {
      for (const bool apart : {false, true}) {
        Client& client = send(issue ? for_ticket() : with_ticket());
        ASSERT_EQ(store_.asked.size(), 1u);
        for (const What what : order) {
          if (what == What::answer) store_.answer(record());
          if (what == What::time) house_.only_clock(2s);
          if (what == What::end) client.wire.finish();
          if (apart) house_.run();
        }
        house_.run();
        EXPECT_EQ(store_.asked.size(), 0u);
      }
    } while (std::ranges::next_permutation(order).found);
  }
  expect_clean();
}

TEST_F(Endpoints, ADrainIsNotWaitedThrough) {
  Client& one = send(with_ticket());
  Client& other = send(for_ticket());
  house_.drain_all();
  house_.run();
  EXPECT_EQ(status(one), "HTTP/1.1 503");
  EXPECT_EQ(status(other), "HTTP/1.1 503");
  EXPECT_EQ(store_.asked.size(), 0u);
  expect_clean();
}

TEST_F(Endpoints, ABodyMayBeCutAnywhere) {
  house_.shared_tickets = nullptr;  // answers at once
  const std::string head = "POST /tickets HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + token_ + "\r\n";
  for (const std::string& body : {std::string("Content-Length: 7\r\n\r\n{\"a\":1}"),
                                  std::string("Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: x\r\n\r\n")}) {
    const std::string request = head + body;
    for (std::size_t cut = head.size() - 2; cut < request.size(); ++cut) {
      Client& client = send(request.substr(0, cut));
      ASSERT_EQ(client.wire.out, "") << cut;
      client.wire.send(request.substr(cut) + request.substr(0, 9));
      house_.run();
      ASSERT_EQ(status(client), "HTTP/1.1 200") << cut;
      client.wire.send(request.substr(9));
      house_.run();
      ASSERT_EQ(client.wire.out.find("HTTP/1.1 200", 1), client.wire.out.size() / 2) << cut << ": the next request";
      client.wire.finish();
    }
  }
  expect_clean();
}

TEST_F(Endpoints, ABodyThatDoesNotComeIsNotWaitedFor) {
  const std::string request = "POST /tickets HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + token_ + "\r\nContent-Length: 9\r\n\r\n";
  Client& slow = send(request);
  for (int i = 0; i < 5; ++i) {
    house_.advance(1900ms);
    slow.wire.send("x");
    house_.run();
  }
  EXPECT_EQ(slow.wire.out, "");
  house_.advance(1s);
  EXPECT_EQ(status(slow), "HTTP/1.1 408") << "octets that come now and then extend nothing";
  Client& gone = send(request + "abc");
  gone.wire.finish();
  house_.run();
  EXPECT_EQ(refused(Errc::client_lost), 1u);
  Client& bad = send("POST /tickets HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer " + token_ +
                     "\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
  EXPECT_EQ(status(bad), "HTTP/1.1 400");
  EXPECT_EQ(refused(Errc::framing), 1u);
  EXPECT_EQ(store_.records.size(), 0u) << "nothing is issued before all of it has come";
  expect_clean();
}

// ---- refresh

TEST_F(Endpoints, AConnectionStandsOnTheNewToken) {
  Client& live = send(upgrade_request("/ws", "Authorization: Bearer " + token_ + "\r\n"));
  const std::string name = "\r\nX-Request-Id: ";
  const std::size_t at = live.wire.out.find(name) + name.size();
  const std::string id = live.wire.out.substr(at, live.wire.out.find("\r\n", at) - at);
  Client& client = send(post("/refresh", "Authorization: Bearer " + mint(R"(,"jti":"new")") + "\r\n", R"({"connection":")" + id + "\"}"));
  EXPECT_EQ(status(client), "HTTP/1.1 200");
  EXPECT_NE(client.wire.out.find(R"({"expires":")"), std::string::npos);
  policy::Revocation revocation;
  revocation.kind = policy::Revocation::Kind::jti;
  revocation.value = "j";
  EXPECT_EQ(house_.kick(revocation), 0u);
  revocation.value = "new";
  EXPECT_EQ(house_.kick(revocation), 1u);
  expect_clean();
}

TEST_F(Endpoints, ARefreshsAnswerTheEndOfTheTimeAndTheClientsEndInEveryOrder) {
  enum class What { answer, time, end };
  std::vector<What> order{What::answer, What::time, What::end};
  std::move_only_function<void(Result<bool>)> done;
  house_.on_renew = [&](const std::string&, const std::shared_ptr<const policy::Authenticated>&,
                        std::move_only_function<void(Result<bool>)> then) { done = std::move(then); };
  do {
    for (const bool apart : {false, true}) {
      Client& client = send(post("/refresh", "Authorization: Bearer " + token_ + "\r\n", R"({"connection":"x"})"));
      EXPECT_EQ(client.wire.out, "");
      ASSERT_TRUE(done);
      for (const What what : order) {
        if (what == What::answer) std::exchange(done, nullptr)(false);
        if (what == What::time) house_.only_clock(5s);
        if (what == What::end) client.wire.finish();
        if (apart) house_.run();
      }
      house_.run();
    }
  } while (std::ranges::next_permutation(order).found);
  expect_clean();
}

// ---- logout

TEST_F(Endpoints, ALogoutIsAnsweredOnceItIsKept) {
  std::vector<policy::Revocation> asked;
  std::move_only_function<void(bool)> done;
  house_.on_revoke = [&](const policy::Revocation& what, Duration ttl, std::move_only_function<void(bool)> then) {
    asked.push_back(what);
    EXPECT_EQ(ttl, 24h);
    done = std::move(then);
  };
  const std::string request = for_logout("1");
  Client& client = send(request);
  EXPECT_EQ(client.wire.out, "");
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].kind, policy::Revocation::Kind::sid);
  EXPECT_EQ(asked[0].value, "s");
  EXPECT_EQ(asked[0].issuer, "https://id.example.com");
  EXPECT_TRUE(asked[0].allow_newer);
  done(true);
  house_.run();
  EXPECT_EQ(status(client), "HTTP/1.1 200");
  Client& again = send(request);
  EXPECT_EQ(status(again), "HTTP/1.1 400") << "once is enough";
  EXPECT_TRUE(again.wire.out.ends_with(R"({"error":"invalid_request"})"));
  EXPECT_EQ(asked.size(), 1u);
  expect_clean();
}

TEST_F(Endpoints, ALogoutThatIsNotKeptMaySayItOnceMore) {
  const std::string request = for_logout("1");
  house_.on_revoke = [](const policy::Revocation&, Duration, std::move_only_function<void(bool)> done) { done(false); };
  Client& client = send(request);
  EXPECT_EQ(status(client), "HTTP/1.1 503");
  house_.on_revoke = [](const policy::Revocation&, Duration, std::move_only_function<void(bool)> done) { done(true); };
  EXPECT_EQ(status(send(request)), "HTTP/1.1 200");
  expect_clean();
}

TEST_F(Endpoints, ALogoutsAnswerTheEndOfTheTimeAndTheIssuersEndInEveryOrder) {
  enum class What { answer, time, end };
  std::vector<What> order{What::answer, What::time, What::end};
  std::move_only_function<void(bool)> done;
  house_.on_revoke = [&](const policy::Revocation&, Duration, std::move_only_function<void(bool)> then) { done = std::move(then); };
  int round = 0;
  do {
    for (const bool apart : {false, true}) {
      Client& client = send(for_logout(std::to_string(++round)));
      ASSERT_TRUE(done) << round;
      for (const What what : order) {
        if (what == What::answer) std::exchange(done, nullptr)(true);
        if (what == What::time) house_.only_clock(5s);
        if (what == What::end) client.wire.finish();
        if (apart) house_.run();
      }
      house_.run();
    }
  } while (std::ranges::next_permutation(order).found);
  expect_clean();
}

TEST_F(Endpoints, WhatIsNoLogoutIsOneWord) {
  house_.on_revoke = [](const policy::Revocation&, Duration, std::move_only_function<void(bool)>) { FAIL() << "nobody is to be logged out"; };
  const std::string form = "Content-Type: application/x-www-form-urlencoded\r\n";
  const std::string good = for_logout("1");
  const std::string body = good.substr(good.find("\r\n\r\n") + 4);
  for (const std::string& request :
       {post("/logout", form, ""), post("/logout", form, "logout_token="), post("/logout", form, "logout_token=x"),
        post("/logout", form, body + "&" + body), post("/logout", form, "logout_token=" + token_),
        post("/logout", "Content-Type: application/json\r\n", body), post("/logout", "", body)}) {
    Client& client = send(request);
    EXPECT_EQ(status(client), "HTTP/1.1 400") << request;
    EXPECT_NE(client.wire.out.find("Cache-Control: no-store"), std::string::npos);
    EXPECT_TRUE(client.wire.out.ends_with(R"({"error":"invalid_request"})"));
  }
  EXPECT_EQ(refused(Errc::bad_logout), 7u);
  EXPECT_EQ(status(send(upgrade_request("/logout"))), "HTTP/1.1 405");
  expect_clean();
}

}  // namespace
}  // namespace sluice::test
