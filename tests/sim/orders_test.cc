// Each check that a client may have to wait for, and three things that may happen meanwhile: the client goes, its time is over, the
// answer comes. In every order of any of them, each in a pass of its own or together with the one before: what came first counts, and
// nothing is left behind.
//
// A check is a row of kChecks: what it takes to make a client wait, to answer it, and to see whether somebody still waits.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "policy/jwt.h"
#include "support/keys.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* kService = "10.9.9.9:4181";

enum class Happening : std::uint8_t { gone, late, answer };
enum class Going : std::uint8_t { end, reset, end_behind_octets };
enum class Answer : std::uint8_t { yes, no, fault };

// One client of one house, waiting.
class Waiting {
 public:
  explicit Waiting(config::Settings settings) : house(std::move(settings)) {
    house.on_dial = [this](Upstream& up) {
      const bool is_service = up.address == kService;
      up.peer.raw_only = is_service;
      if (is_service) service = &up;
    };
  }
  virtual ~Waiting() = default;
  // The client has sent what it had to, and is waited for.
  virtual void begin() = 0;
  virtual void answer(Answer what) = 0;
  // How many are under way, by the gauge.
  virtual std::size_t under_way() = 0;
  // What the client must have seen, each in a pass of its own having been the first.
  virtual void expect_answered(Answer what) = 0;
  virtual void expect_late() = 0;
  // Until what has happened has been looked at.
  virtual void settle() { house.run(); }

  void ask(const std::string& fields) {
    client = &house.connect();
    client->wire.send(upgrade_request("/ws", fields));
    house.run();
  }
  void go(Going how) {
    if (how == Going::end_behind_octets) client->wire.send(std::string("\x81\x82\0\0\0\0hi", 8));
    how == Going::reset ? client->wire.reset() : client->wire.finish();
  }
  std::size_t servers_dialled() {
    std::size_t count = 0;
    for (std::size_t i = 0; i < house.dials(); ++i) count += house.upstream(i).address == kService ? 0 : 1;
    return count;
  }

  SimHouse house;
  Client* client = nullptr;
  Upstream* service = nullptr;
  std::size_t dialled_before = 0;  // servers, when the wait began
};

// ---- the checks ------------------------------------------------------------------------------------------------------------

config::Settings with_service(Duration recheck) {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  policy::AuthSettings auth;
  auth.type = policy::AuthSettings::Type::external;
  auth.name = "sso";
  auth.external.host = "10.9.9.9";
  auth.external.port = 4181;
  auth.external.authority = kService;
  auth.external.target = "/verify";
  auth.external.request_headers = {"Authorization"};
  auth.external.response_headers = {"X-Auth-User"};
  auth.external.subject_header = "X-Auth-User";
  auth.external.recheck = recheck;
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"sso"};
  rules_of(settings).ping_interval = {};
  return settings;
}

// A service is asked before the handshake is answered.
class ForAService : public Waiting {
 public:
  explicit ForAService(Duration recheck = {}) : Waiting(with_service(recheck)) {}
  void begin() override { ask("Authorization: Bearer one\r\n"); }
  void answer(Answer what) override {
    constexpr std::array<std::string_view, 3> kTexts{"HTTP/1.1 200 OK\r\nX-Auth-User: ann\r\nContent-Length: 2\r\n\r\nok",
                                                     "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
                                                     "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"};
    service->wire.send(kTexts[static_cast<std::size_t>(what)]);
  }
  std::size_t under_way() override { return house.runtime().external_checks.at("sso")->under_way(); }
  void expect_answered(Answer what) override {
    EXPECT_EQ(client->peer.status(), what == Answer::yes ? 101 : what == Answer::no ? 401 : 503);
  }
  void expect_late() override { EXPECT_EQ(client->peer.status(), 503); }
};

// The same service is asked again about a client that is through.
class ForASecondOpinion final : public ForAService {
 public:
  ForASecondOpinion() : ForAService(60s) {}
  void begin() override {
    ForAService::begin();
    ForAService::answer(Answer::yes);
    house.run();
    ASSERT_EQ(client->peer.status(), 101);
    const Upstream* const first = service;
    for (Duration waited{}; service == first && waited < 100s; waited += 500ms) house.advance(500ms);
    ASSERT_NE(service, first);
  }
  void expect_answered(Answer what) override {
    EXPECT_EQ(client->peer.close_code(), what == Answer::no ? 4401u : 0u) << "a fault is no verdict for a while";
  }
  void expect_late() override { EXPECT_EQ(client->peer.close_frame(), nullptr); }
  void settle() override {
    house.run();
    house.advance(1s);  // the sweep
  }
};

// A key that is not there comes with the next fetch, or does not.
class ForAKey : public Waiting {
 public:
  explicit ForAKey(bool has_others = true) : Waiting(with_fetched_keys()), has_others_(has_others) {}
  void begin() override {
    static const std::string token = minted();
    source().on_asked([] {});
    if (has_others_) source().publish(keys({"old"}));
    ask("Authorization: Bearer " + token + "\r\n");
  }
  void answer(Answer what) override {
    if (what == Answer::yes) source().publish(keys({"old", "new"}));
    if (what == Answer::fault) source().withdraw();
    source().answered();
  }
  std::size_t under_way() override { return source().waiting(); }
  void expect_answered(Answer what) override {
    EXPECT_EQ(client->peer.status(), what == Answer::yes ? 101 : what == Answer::no && has_others_ ? 401 : 503);
  }
  void expect_late() override { EXPECT_EQ(client->peer.status(), has_others_ ? 401 : 503); }

 private:
  static config::Settings with_fetched_keys() {
    config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
    policy::AuthSettings auth;
    auth.name = "users";
    auth.jwt.algorithms = {net::JwsAlgorithm::es256};
    auth.jwt.source.url = "https://id.example.com/keys";
    auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
    settings.auths.push_back(auth);
    settings.routes[0].auth = {"users"};
    return settings;
  }
  static std::string minted() {
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
    net::CryptoContext crypto;
    std::string why;
    return policy::mint(crypto, net::JwsAlgorithm::es256, p256_key().private_pem(), "new",
                        "{\"exp\":" + std::to_string(now + 3600) + R"(,"sub":"ann"})", why)
        .value();
  }
  static std::string keys(std::initializer_list<std::string_view> kids) {
    std::string list;
    for (const std::string_view kid : kids) {
      list += list.empty() ? "" : ",";
      list += R"({"kty":"EC","crv":"P-256","kid":")" + std::string(kid) + R"(","x":")" + net::base64url(p256_key().x(32)) +
              R"(","y":")" + net::base64url(p256_key().y(32)) + "\"}";
    }
    return R"({"keys":[)" + list + "]}";
  }
  policy::KeySource& source() { return *house.runtime().snapshot->key_source("users"); }
  const bool has_others_;
};

class ForTheFirstKeys final : public ForAKey {
 public:
  ForTheFirstKeys() : ForAKey(false) {}
};

// A store of tickets that answers one question when the test says so.
class SlowTickets final : public policy::TicketStore {
 public:
  std::unique_ptr<Question> put(const Key&, std::string, Duration, Instant, Kept) override { return std::make_unique<Question>(); }
  std::unique_ptr<Question> take(const Key&, Instant, Taken done) override { return std::make_unique<Asked>(*this, std::move(done)); }
  void answer(Result<std::optional<std::string>> with) {
    if (asked && asked->done) std::exchange(asked->done, nullptr)(std::move(with));
  }

  struct Asked final : Question {
    Asked(SlowTickets& its_store, Taken its_done) : store(its_store), done(std::move(its_done)) { store.asked = this; }
    ~Asked() override { store.asked = nullptr; }
    SlowTickets& store;
    Taken done;
  };
  Asked* asked = nullptr;
};

// Base before Waiting: a question dies before its store.
struct HasTickets {
  SlowTickets tickets;
};

// A one-time ticket is looked for in a store that others share.
class ForATicket final : private HasTickets, public Waiting {
 public:
  ForATicket() : Waiting(with_tickets()) { house.shared_tickets = &tickets; }
  void begin() override {
    client = &house.connect();
    client->wire.send(upgrade_request("/ws?ticket=" + std::string(43, 'A')));
    house.run();
  }
  void answer(Answer what) override {
    switch (what) {
      case Answer::yes:
        tickets.answer(R"({"auth":"users","client":"","method":"jwt","subject":"ann","claims":"{\"sub\":\"ann\"}"})");
        break;
      case Answer::no: tickets.answer(std::nullopt); break;
      case Answer::fault: tickets.answer(fail(Errc::auth_unavailable, Side::gateway, "the store is away")); break;
    }
  }
  std::size_t under_way() override { return tickets.asked ? 1 : 0; }
  void expect_answered(Answer what) override {
    EXPECT_EQ(client->peer.status(), what == Answer::yes ? 101 : what == Answer::no ? 401 : 503);
  }
  void expect_late() override { EXPECT_EQ(client->peer.status(), 503); }

 private:
  static config::Settings with_tickets() {
    config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
    policy::AuthSettings auth;
    auth.name = "users";
    auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
    auth.jwt.secret = kSecret;
    auth.from = {{policy::Carrier::Kind::ticket, "ticket"}};
    auth.endpoints.paths = {"/tickets", "", ""};
    settings.auths.push_back(auth);
    settings.routes[0].auth = {"users"};
    return settings;
  }
};

template <typename Check>
std::unique_ptr<Waiting> make() {
  return std::make_unique<Check>();
}

struct Row {
  const char* name;
  std::unique_ptr<Waiting> (*make)();
};
constexpr Row kChecks[] = {
    {"Service", make<ForAService>},
    {"SecondOpinion", make<ForASecondOpinion>},
    {"Key", make<ForAKey>},
    {"FirstKeys", make<ForTheFirstKeys>},
    {"Ticket", make<ForATicket>},
};

// ---- the orders ------------------------------------------------------------------------------------------------------------

struct Step {
  Happening what;
  bool same_pass;  // as the one before
};

// All orders of all choices of what may happen, each with every way to share passes.
std::vector<std::vector<Step>> orders() {
  std::vector<std::vector<Step>> all;
  for (unsigned chosen = 1; chosen < 8; ++chosen) {
    std::vector<Happening> order;
    for (unsigned i = 0; i < 3; ++i) {
      if ((chosen >> i & 1) != 0) order.push_back(static_cast<Happening>(i));
    }
    do {
      for (unsigned together = 0; together < 1u << (order.size() - 1); ++together) {
        std::vector<Step>& steps = all.emplace_back();
        for (std::size_t i = 0; i < order.size(); ++i) steps.push_back({order[i], i > 0 && (together >> (i - 1) & 1) != 0});
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
  return all;
}

std::string text(const std::vector<Step>& order, Going going, Answer answer) {
  std::string out;
  for (const Step& step : order) {
    out += out.empty() ? "" : step.same_pass ? " with " : ", then ";
    out += step.what == Happening::gone ? "gone" : step.what == Happening::late ? "late" : "answer";
  }
  return out + " (going " + std::to_string(static_cast<int>(going)) + ", answer " + std::to_string(static_cast<int>(answer)) + ")";
}

void run(const Row& row, const std::vector<Step>& order, Going going, Answer answer) {
  SCOPED_TRACE(text(order, going, answer));
  const std::unique_ptr<Waiting> check = row.make();
  SimHouse& house = check->house;
  check->begin();
  ASSERT_EQ(check->under_way(), 1u);
  check->dialled_before = check->servers_dialled();

  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool last_of_pass = i + 1 == order.size() || !order[i + 1].same_pass;
    switch (order[i].what) {
      case Happening::gone: check->go(going); break;
      case Happening::answer: check->answer(answer); break;
      case Happening::late:
        house.only_clock(2100ms);
        if (last_of_pass) house.advance(1ms);  // the timers that are due
        break;
    }
    if (!last_of_pass) continue;
    check->settle();
    if (i == 0) {  // what came first came alone
      switch (order[0].what) {
        case Happening::gone:
          EXPECT_EQ(check->servers_dialled(), check->dialled_before) << "a server heard of who had gone";
          break;
        case Happening::late: check->expect_late(); break;
        case Happening::answer: check->expect_answered(answer); break;
      }
      // Of a client that was through already one end is not both.
      if (order[0].what != Happening::gone || house.alive() == 0) {
        EXPECT_EQ(check->under_way(), 0u) << "decided, and still under way";
      }
    }
  }
  house.hang_up();
  house.run();
  house.advance(15s);
  EXPECT_EQ(check->under_way(), 0u);
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.admitted(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
  EXPECT_EQ(house.server(0).active.load(), 0u);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
}

class Orders : public ::testing::TestWithParam<Row> {};

TEST_P(Orders, WhatComesFirstCountsAndNothingIsLeftBehind) {
  const auto all = orders();
  EXPECT_EQ(all.size(), 3u + 6 * 2 + 6 * 4);
  for (const auto& order : all) {
    const auto has = [&](Happening what) { return std::ranges::any_of(order, [what](const Step& step) { return step.what == what; }); };
    for (const Going going : {Going::end, Going::reset, Going::end_behind_octets}) {
      if (going != Going::end && !has(Happening::gone)) break;
      for (const Answer answer : {Answer::yes, Answer::no, Answer::fault}) {
        if (answer != Answer::yes && !has(Happening::answer)) break;
        run(GetParam(), order, going, answer);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Checks, Orders, ::testing::ValuesIn(kChecks), [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace sluice::test
