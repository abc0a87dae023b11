#include "net/resolver.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "support/fake_dns.h"
#include "support/run_until.h"

namespace sluice::net {
namespace {

using std::chrono::seconds;

class Resolving : public testing::Test {
 protected:
  Resolver::Answer resolve(const std::string& host, std::uint16_t port = 80) {
    std::optional<Resolver::Answer> got;
    resolver_->resolve(host, port, [&got](Resolver::Answer answer) { got = std::move(answer); });
    EXPECT_TRUE(run_until(loop_, [&got] { return got.has_value(); })) << host;
    return got.value_or(Resolver::Answer{});
  }
  Resolver::Answer services(const std::string& name) {
    std::optional<Resolver::Answer> got;
    resolver_->resolve_services(name, [&got](Resolver::Answer answer) { got = std::move(answer); });
    EXPECT_TRUE(run_until(loop_, [&got] { return got.has_value(); })) << name;
    return got.value_or(Resolver::Answer{});
  }
  static std::set<std::string> texts(const Resolver::Answer& answer) {
    std::set<std::string> all;
    for (const Address& address : answer.addresses) all.insert(address.text());
    return all;
  }

  FakeDns dns_;
  event::Loop loop_;
  std::unique_ptr<Resolver> resolver_ = std::make_unique<Resolver>(loop_, dns_.servers());
};

TEST_F(Resolving, AnswersLiteralsAtOnce) {
  for (const auto& [host, text] : std::map<std::string, std::string>{
           {"192.0.2.1", "192.0.2.1:81"}, {"::1", "[::1]:81"}, {"[2001:db8::1]", "[2001:db8::1]:81"}}) {
    std::string got;
    resolver_->resolve(host, 81, [&got](Resolver::Answer answer) { got = answer.addresses.at(0).text(); });
    EXPECT_EQ(got, text);
  }
  EXPECT_EQ(dns_.questions(), 0);
}

TEST_F(Resolving, AnswersLocalhostAtOnce) {
  for (const char* host : {"localhost", "LOCALHOST", "localhost.", "api.localhost"}) {
    std::vector<Address> got;
    resolver_->resolve(host, 8080, [&got](Resolver::Answer answer) { got = answer.addresses; });
    ASSERT_FALSE(got.empty()) << host;
    EXPECT_EQ(got[0].text(), "127.0.0.1:8080");
  }
  EXPECT_EQ(dns_.questions(), 0);
}

TEST_F(Resolving, GivesBothFamiliesWithThePort) {
  dns_.set("chat.example", {.v4 = {"192.0.2.1", "192.0.2.2"}, .v6 = {"2001:db8::1"}, .ttl = 77});
  const auto answer = resolve("chat.example", 9000);
  EXPECT_EQ(texts(answer), (std::set<std::string>{"192.0.2.1:9000", "192.0.2.2:9000", "[2001:db8::1]:9000"}));
  EXPECT_EQ(answer.ttl, seconds(77));
  EXPECT_TRUE(answer.error.empty());
}

TEST_F(Resolving, IsContentWithOneFamily) {
  dns_.set("four.example", {.v4 = {"192.0.2.4"}});
  dns_.set("six.example", {.v6 = {"2001:db8::6"}});
  EXPECT_EQ(texts(resolve("four.example")), std::set<std::string>{"192.0.2.4:80"});
  EXPECT_EQ(texts(resolve("six.example")), std::set<std::string>{"[2001:db8::6]:80"});
}

TEST_F(Resolving, TakesTheSmallestTtlAndClampsIt) {
  dns_.set("short.example", {.v4 = {"192.0.2.1"}, .ttl = 0});
  dns_.set("long.example", {.v4 = {"192.0.2.1"}, .ttl = 86400});
  dns_.set("alias.example", {.v4 = {"192.0.2.1"}, .ttl = 100, .alias = "real.example", .alias_ttl = 30});
  EXPECT_EQ(resolve("short.example").ttl, seconds(5));
  EXPECT_EQ(resolve("long.example").ttl, seconds(300));
  EXPECT_EQ(resolve("alias.example").ttl, seconds(30));
}

TEST_F(Resolving, SaysWhyANameDoesNotResolve) {
  const auto missing = resolve("missing.example");
  EXPECT_TRUE(missing.addresses.empty());
  EXPECT_FALSE(missing.error.empty());
  dns_.set("broken.example", {.code = 2});
  EXPECT_FALSE(resolve("broken.example").error.empty());
  dns_.set("empty.example", {});
  EXPECT_FALSE(resolve("empty.example").error.empty());
}

TEST_F(Resolving, RefusesWhatIsNoName) {
  for (const std::string& host : {std::string(), std::string(300, 'a'), std::string("a\0b", 3)}) {
    std::string why;
    resolver_->resolve(host, 80, [&why](Resolver::Answer answer) { why = answer.error; });
    EXPECT_FALSE(why.empty());
  }
  EXPECT_EQ(dns_.questions(), 0);
}

TEST_F(Resolving, GoesOverTcpWhenTheAnswerIsCut) {
  FakeDns::Script script{.truncate = true};
  for (int i = 1; i <= 50; ++i) script.v4.push_back("192.0.2." + std::to_string(i));
  dns_.set("many.example", script);
  EXPECT_EQ(resolve("many.example").addresses.size(), 50u);
  EXPECT_GT(dns_.tcp_questions(), 0);
}

TEST_F(Resolving, GivesAtMostSixtyFourAddresses) {
  FakeDns::Script script{.truncate = true};
  for (int i = 1; i <= 200; ++i) script.v4.push_back("192.0.2." + std::to_string(i));
  dns_.set("crowd.example", script);
  EXPECT_EQ(resolve("crowd.example").addresses.size(), 64u);
}

TEST_F(Resolving, AnswersManyQuestionsAtOnce) {
  constexpr int kNames = 50;
  int answered = 0;
  for (int i = 0; i < kNames; ++i) {
    const std::string name = "n" + std::to_string(i) + ".example";
    const std::string ip = "192.0.2." + std::to_string(i);
    dns_.set(name, {.v4 = {ip}});
    resolver_->resolve(name, 80, [&answered, ip](Resolver::Answer answer) {
      ASSERT_EQ(answer.addresses.size(), 1u);
      EXPECT_EQ(answer.addresses[0].ip(), ip);
      ++answered;
    });
  }
  EXPECT_TRUE(run_until(loop_, [&] { return answered == kNames; }));
}

TEST_F(Resolving, MayBeAskedAgainFromAnAnswer) {
  dns_.set("one.example", {.v4 = {"192.0.2.1"}});
  dns_.set("two.example", {.v4 = {"192.0.2.2"}});
  std::string got;
  resolver_->resolve("one.example", 80, [&](Resolver::Answer) {
    resolver_->resolve("two.example", 80, [&](Resolver::Answer answer) { got = answer.addresses.at(0).ip(); });
  });
  EXPECT_TRUE(run_until(loop_, [&] { return got == "192.0.2.2"; }));
}

TEST_F(Resolving, MayBeDestroyedFromAnAnswer) {
  dns_.set("one.example", {.v4 = {"192.0.2.1"}});
  bool called = false;
  resolver_->resolve("one.example", 80, [&](Resolver::Answer) {
    resolver_.reset();
    called = true;
  });
  EXPECT_TRUE(run_until(loop_, [&] { return called; }));
}

TEST_F(Resolving, CallsNobodyOnceDestroyed) {
  dns_.set("silent.example", {.silent = true});
  dns_.set("one.example", {.v4 = {"192.0.2.1"}});
  bool called = false;
  resolver_->resolve("silent.example", 80, [&](Resolver::Answer) { called = true; });
  resolver_->resolve("one.example", 80, [&](Resolver::Answer) { called = true; });
  EXPECT_TRUE(run_until(loop_, [&] { return dns_.questions() >= 2; }));
  resolver_.reset();
  bool turned = false;
  loop_.defer([&turned] { turned = true; });
  EXPECT_TRUE(run_until(loop_, [&] { return turned; }));
}

TEST_F(Resolving, ReadsTheHostsFile) {
  // Whatever the machine's own file maps; every Linux system names at least the IPv6 loopback or itself there.
  FILE* hosts = fopen("/etc/hosts", "re");
  if (!hosts) GTEST_SKIP() << "no /etc/hosts";
  std::string wanted;
  char line[1024];
  char ip[256];
  char host[256];
  while (fgets(line, sizeof line, hosts)) {
    if (sscanf(line, " %255[^# \t\n] %255[^# \t\n]", ip, host) == 2 && std::string(host) != "localhost") wanted = host;
  }
  fclose(hosts);
  if (wanted.empty()) GTEST_SKIP() << "/etc/hosts names nothing but localhost";
  EXPECT_FALSE(resolve(wanted).addresses.empty()) << wanted;
  EXPECT_EQ(dns_.questions(), 0) << wanted;
}

TEST_F(Resolving, SaysWhyThereIsNothing) {
  dns_.set("empty.example", {});
  dns_.set("broken.example", {.code = 2});
  dns_.set("text.example", {.v4 = {"192.0.2.1"}});
  EXPECT_EQ(resolve("missing.example").result, Lookup::nxdomain);
  EXPECT_EQ(resolve("empty.example").result, Lookup::empty);
  EXPECT_EQ(resolve("broken.example").result, Lookup::failed);
  EXPECT_EQ(resolve("text.example").result, Lookup::ok);
  EXPECT_EQ(services("missing.example").result, Lookup::nxdomain);
  EXPECT_EQ(services("text.example").result, Lookup::empty);
  EXPECT_EQ(services("").result, Lookup::failed);
}

TEST_F(Resolving, FindsServices) {
  dns_.set("_ws._tcp.chat.example", {.ttl = 40, .services = {{20, 0, 9001, "b.example"}, {10, 5, 9000, "a.example"}}});
  const auto answer = services("_ws._tcp.chat.example");
  EXPECT_EQ(answer.services, (std::vector<Service>{{"a.example", 9000, 10, 5}, {"b.example", 9001, 20, 0}}));
  EXPECT_EQ(answer.ttl, seconds(40));
  EXPECT_EQ(answer.result, Lookup::ok);
}

TEST_F(Resolving, FindsServicesThatAreDecidedlyNotOffered) {
  dns_.set("_ws._tcp.no.example", {.services = {{0, 0, 0, ""}}});
  EXPECT_EQ(services("_ws._tcp.no.example").result, Lookup::empty);
}

TEST_F(Resolving, AsksOtherServersWhenToldTo) {
  FakeDns other;
  dns_.set("moved.example", {.silent = true});
  other.set("moved.example", {.v4 = {"192.0.2.9"}});
  std::optional<Resolver::Answer> got;
  resolver_->resolve("moved.example", 80, [&got](Resolver::Answer answer) { got = std::move(answer); });
  EXPECT_TRUE(run_until(loop_, [&] { return dns_.questions() >= 2; }));
  resolver_->use(other.servers());
  EXPECT_TRUE(run_until(loop_, [&got] { return got.has_value(); })) << "what was outstanding is asked again there";
  EXPECT_EQ(texts(*got), (std::set<std::string>{"192.0.2.9:80"}));
  EXPECT_EQ(texts(resolve("moved.example")), (std::set<std::string>{"192.0.2.9:80"}));
  const int asked = other.questions();
  resolver_->use(other.servers());
  EXPECT_EQ(other.questions(), asked);
}

TEST_F(Resolving, KeepsTheSame64OfMany) {
  FakeDns::Script many;
  for (int i = 0; i < 100; ++i) many.v4.push_back("192.0.2." + std::to_string(i));
  many.truncate = true;  // they come by TCP
  dns_.set("many.example", many);
  const auto before = texts(resolve("many.example"));
  EXPECT_EQ(before.size(), 64u);
  std::rotate(many.v4.begin(), many.v4.begin() + 50, many.v4.end());
  dns_.set("many.example", many);
  EXPECT_EQ(texts(resolve("many.example")), before);
}

}  // namespace
}  // namespace sluice::net
