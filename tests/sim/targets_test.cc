// Servers that clients name: what is refused is never dialled, whatever its name resolves to the next time.
#include <gtest/gtest.h>

#include "policy/jwt.h"
#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using From = upstream::TargetSettings::From;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

upstream::TargetAllow allow(const std::string& host, const std::string& cidr, const std::string& ports) {
  upstream::TargetAllow out;
  out.host = host;
  if (!cidr.empty()) out.cidr = net::Cidr::parse(cidr).value();
  out.ports.push_back(upstream::PortRange::parse(ports).value());
  return out;
}

config::Settings targets(std::vector<upstream::TargetAllow> allowed, From from = From::claim) {
  config::Settings settings = settings_for({"tcp://10.0.0.1:1"});
  upstream::ServerSettings& server = settings.backends[0].servers[0];
  server.url = "tcp://*";
  server.host = "*";
  server.port = 0;
  settings.backends[0].ejection.failures = 0;
  policy::AuthSettings auth;
  auth.name = "users";
  auth.jwt.algorithms = {net::JwsAlgorithm::hs256};
  auth.jwt.secret = kSecret;
  auth.from = {{policy::Carrier::Kind::header, "Authorization"}};
  settings.auths.push_back(auth);
  settings.routes[0].auth = {"users"};
  settings.admin.bind = *net::Address::parse("127.0.0.1", 9901);
  upstream::TargetSettings target;
  target.from = from;
  target.name = "target";
  target.segment = 2;
  target.allow = std::move(allowed);
  settings.routes[0].target = target;
  return settings;
}

config::Settings mapped(From from) {
  config::Settings settings = targets({allow("", "10.0.0.0/8", "5900")}, from);
  settings.routes[0].target->mapped = true;
  settings.routes[0].target->map = {{"alpha", *upstream::Target::parse("10.1.2.3:5900")},
                                    {"beta", *upstream::Target::parse("beta.internal:5900")},
                                    {"other", *upstream::Target::parse("10.1.2.3:22")},
                                    {"self", *upstream::Target::parse("127.0.0.1:5900")}};
  return settings;
}

std::string bearer(const std::string& claims) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(FakeClock().wall().time_since_epoch()).count();
  net::CryptoContext crypto;
  std::string why;
  const auto text = policy::mint(crypto, net::JwsAlgorithm::hs256, kSecret, "",
                                 "{\"exp\":" + std::to_string(now + 3600) + ",\"sub\":\"ann\"" + claims + "}", why);
  if (!text) throw std::runtime_error(why);
  return "Authorization: Bearer " + *text + "\r\n";
}
std::string naming(const std::string& target) { return bearer(",\"target\":\"" + target + "\""); }

struct Targets : testing::Test {
  // The status of the answer; the target must not have been dialled unless it is 101.
  static int status(SimHouse& house, const std::string& fields, const std::string& path = "/") {
    const std::size_t before = house.dials();
    Client& client = house.open(upgrade_request(path, fields));
    const int found = client.peer.status();
    EXPECT_EQ(house.dials(), before + (found == 101 ? 1 : 0)) << path;
    return found;
  }
  static std::uint64_t denied(SimHouse& house) {
    return house.worker_tally().rejects[static_cast<std::size_t>(Errc::target_denied)].get();
  }
};

TEST_F(Targets, AnAddressThatIsAllowedIsDialled) {
  SimHouse house(targets({allow("", "203.0.113.0/24", "5900-5909")}));
  Client& client = house.open(upgrade_request("/", naming("203.0.113.9:5901")));
  ASSERT_EQ(client.peer.status(), 101);
  EXPECT_EQ(house.last().address, "203.0.113.9:5901");
  client.peer.binary("hello");
  house.run();
  EXPECT_EQ(house.last().wire.out, "hello");
  EXPECT_EQ(house.server(0).active.load(), 1u) << "all of them are counted as one server";
  EXPECT_EQ(status(house, naming("203.0.113.10:5909")), 101);
  EXPECT_EQ(house.last().address, "203.0.113.10:5909");
}

net::Resolver::Answer answer(std::vector<net::Address> addresses) {
  net::Resolver::Answer found;
  found.addresses = std::move(addresses);
  found.ttl = 5s;
  return found;
}

TEST_F(Targets, EveryVectorIsRefused) {
  // As generous as a configuration can be.
  config::Settings settings = targets({allow("", "0.0.0.0/0", "1-65535"), allow("", "::/0", "1-65535"),
                                       allow("localhost", "", "1-65535"), allow("*.test", "", "1-65535")});
  SimHouse house(settings);
  house.on_resolve = [](const std::string&, net::NameCache::Done done) {
    done(answer({*net::Address::parse("127.0.0.1", 0), *net::Address::parse("::1", 0)}));
  };
  std::uint64_t count = 0;
  for (const std::string target :
       {"127.0.0.1:5900", "0:5900", "0x7f.1:5900", "[::ffff:169.254.169.254]:80", "localhost.:5900", "localhost:5900",
        "2130706433:5900", "rebound.test:5900", "127.0.0.1:9901", "[::1]:9901", "203.0.113.9:25", "203.0.113.9:465",
        "203.0.113.9:587", "203.0.113.9:6379", "203.0.113.9:2375", "203.0.113.9:10250", "10.0.0.1:5900", "[fe80::1]:5900",
        "[64:ff9b::7f00:1]:5900", "0.0.0.0:5900", "[::]:5900", "evil.example:5900", "203.0.113.9", "203.0.113.9:0", "", "*",
        "tcp://203.0.113.9:5900", "203.0.113.9:5900/x", "a@203.0.113.9:5900"}) {
    EXPECT_EQ(status(house, naming(target)), 403) << target;
    EXPECT_EQ(denied(house), ++count) << target;
  }
  EXPECT_EQ(house.dials(), 0u);
  EXPECT_EQ(status(house, naming("203.0.113.9:5900")), 101) << "what is allowed still is";
}

TEST_F(Targets, WithoutATargetThereIsNone) {
  SimHouse house(targets({allow("", "203.0.113.0/24", "5900")}));
  EXPECT_EQ(status(house, bearer("")), 403);
  EXPECT_EQ(status(house, bearer(",\"target\":[]")), 403);
  EXPECT_EQ(status(house, bearer(",\"target\":{\"a\":1}")), 403);
  EXPECT_EQ(status(house, bearer(",\"target\":[\"203.0.113.9:5900\",\"203.0.113.8:5900\"]")), 403);
  EXPECT_EQ(status(house, ""), 401) << "a token comes first";
  EXPECT_EQ(status(house, "", "/?target=203.0.113.9:5900"), 401);
}

TEST_F(Targets, ANameIsResolvedAndItsAddressJudged) {
  SimHouse house(targets({allow("vm1.test", "", "5900")}));
  std::vector<std::string> asked;
  std::vector<std::string> answers{"10.0.0.1", "203.0.113.9", "169.254.169.254", "203.0.113.10"};
  house.on_resolve = [&](const std::string& host, net::NameCache::Done done) {
    asked.push_back(host);
    net::Resolver::Answer answer;
    for (const std::string& ip : answers) answer.addresses.push_back(*net::Address::parse(ip, 0));
    done(answer);
  };
  Client& client = house.open(upgrade_request("/", naming("VM1.test:5900")));
  ASSERT_EQ(client.peer.status(), 101);
  EXPECT_EQ(asked, std::vector<std::string>{"vm1.test"});
  EXPECT_EQ(house.last().address, "203.0.113.9:5900") << "the first that may be connected to";
  EXPECT_EQ(status(house, naming("vm2.test:5900")), 403);
  EXPECT_EQ(asked.size(), 1u) << "who is not allowed is not resolved";
}

TEST_F(Targets, AnotherAddressIsTriedAndOnlyOnesThatWereJudged) {
  SimHouse house(targets({allow("vm1.test", "", "5900")}));
  house.on_resolve = [](const std::string&, net::NameCache::Done done) {
    net::Resolver::Answer answer;
    for (const char* ip : {"203.0.113.9", "127.0.0.1", "203.0.113.10"}) answer.addresses.push_back(*net::Address::parse(ip, 0));
    done(answer);
  };
  house.on_dial = [&house](Upstream& up) {
    if (house.dials() == 1) up.script = SimHouse::Script::refuse;
  };
  Client& client = house.open(upgrade_request("/", naming("vm1.test:5900")));
  EXPECT_EQ(client.peer.status(), 101);
  ASSERT_EQ(house.dials(), 2u);
  EXPECT_EQ(house.upstream(0).address, "203.0.113.9:5900");
  EXPECT_EQ(house.upstream(1).address, "203.0.113.10:5900");
}

TEST_F(Targets, ANameThatFlipsGainsNothing) {
  SimHouse house(targets({allow("rebind.test", "", "5900")}));
  int asked = 0;
  house.on_resolve = [&asked](const std::string&, net::NameCache::Done done) {
    done(answer({*net::Address::parse(asked++ % 2 ? "127.0.0.1" : "203.0.113.9", 0)}));
  };
  EXPECT_EQ(status(house, naming("rebind.test:5900")), 101);
  EXPECT_EQ(house.last().address, "203.0.113.9:5900");
  EXPECT_EQ(status(house, naming("rebind.test:5900")), 403);
  EXPECT_EQ(asked, 2) << "once for a client: what was judged is what is connected to";
}

TEST_F(Targets, AnAnswerMayComeLater) {
  SimHouse house(targets({allow("vm1.test", "", "5900")}));
  std::vector<net::NameCache::Done> waiting;
  house.on_resolve = [&](const std::string&, net::NameCache::Done done) { waiting.push_back(std::move(done)); };
  Client& client = house.connect();
  client.wire.send(upgrade_request("/", naming("vm1.test:5900")));
  house.run();
  EXPECT_EQ(client.peer.status(), 0);
  ASSERT_EQ(waiting.size(), 1u);
  waiting[0](answer({*net::Address::parse("203.0.113.9", 0)}));
  house.run();
  EXPECT_EQ(client.peer.status(), 101);

  Client& late = house.connect();
  late.wire.send(upgrade_request("/", naming("vm1.test:5900")));
  house.run();
  house.advance(25s);
  EXPECT_EQ(late.peer.status(), 504) << "the deadline of the opening is that of the name, too";
  house.hang_up();
  house.run();
  house.advance(8s);
  EXPECT_EQ(house.alive(), 0u);
  waiting[1](answer({*net::Address::parse("203.0.113.9", 0)}));  // nobody waits any more
  house.run();
  EXPECT_EQ(house.dials(), 1u);
}

TEST_F(Targets, ANameWithoutAddressIsNoServer) {
  SimHouse house(targets({allow("vm1.test", "", "5900")}));
  EXPECT_EQ(status(house, naming("vm1.test:5900")), 503);
}

TEST_F(Targets, MapsAreReadByQueryPathAndClaim) {
  for (const From from : {From::query, From::path, From::claim}) {
    SimHouse house(mapped(from));
    house.on_resolve = [](const std::string& host, net::NameCache::Done done) {
      EXPECT_EQ(host, "beta.internal");
      done(answer({*net::Address::parse("10.1.2.4", 0)}));
    };
    const auto ask = [&](const std::string& name) {
      if (from == From::claim) return status(house, naming(name));
      return status(house, bearer(""), from == From::query ? "/?target=" + name : "/vnc/" + name);
    };
    EXPECT_EQ(ask("alpha"), 101);
    EXPECT_EQ(house.last().address, "10.1.2.3:5900");
    EXPECT_EQ(ask("beta"), 101);
    EXPECT_EQ(house.last().address, "10.1.2.4:5900");
    EXPECT_EQ(ask("other"), 403) << "a port that is not allowed";
    EXPECT_EQ(ask("self"), 403) << "a block that is not allowed";
    EXPECT_EQ(ask("nobody"), 403);
    EXPECT_EQ(ask("10.1.2.3:5900"), 403) << "a server is no name of the map";
    if (from == From::query) EXPECT_EQ(status(house, bearer(""), "/?target=alpha&target=beta"), 403);
    if (from != From::claim) EXPECT_EQ(status(house, "", from == From::query ? "/?target=alpha" : "/vnc/alpha"), 401);
  }
}

TEST_F(Targets, RefusalsMayBeCloses) {
  config::Settings settings = targets({allow("", "203.0.113.0/24", "5900")});
  rules_of(settings).reject_with_close = true;
  SimHouse house(settings);
  Client& client = house.open(upgrade_request("/", naming("127.0.0.1:5900")));
  EXPECT_EQ(client.peer.close_code(), 4403u);
  EXPECT_EQ(house.dials(), 0u);
}

}  // namespace
}  // namespace sluice::test
