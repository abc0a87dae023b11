// The client survives the loss of servers that its messages are spread over: each policy at each moment of the loss, by key, to
// all and in a race, and while nobody serves.
#include <gtest/gtest.h>

#include <map>

#include "support/spread.h"
#include "support/survivor.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using config::InFlight;
using session::Dropped;
using session::Revived;
using upstream::Aim;
using Script = SimHouse::Script;
using Messages = std::vector<std::string>;

config::Settings spread_surviving(InFlight in_flight = InFlight::hold, std::size_t servers = 2) {
  config::Settings settings = surviving(in_flight, servers);
  settings.backends[0].unit = upstream::Unit::message;
  return settings;
}

// Binary messages and those with "method": "all" or "race" go to everybody, others to one.
config::Settings fanning(InFlight in_flight = InFlight::hold, std::size_t servers = 3) {
  config::Settings settings = spread_surviving(in_flight, servers);
  settings.routes[0].inspect = 2048;
  for (const auto& [method, aim] : {std::pair{"all", Aim::all}, std::pair{"race", Aim::race}}) {
    upstream::MessageMatch match;
    match.pointer = JsonPointer::parse("/method");
    match.test = upstream::MessageMatch::Test::equals;
    match.value = method;
    settings.routes[0].messages.push_back({method, match, "", aim});
  }
  upstream::MessageMatch binary;
  binary.opcode = 2;
  settings.routes[0].messages.push_back({"binary", binary, "", Aim::all});
  return settings;
}

std::string request(std::string_view method, int id, std::size_t pad = 0) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + std::string(method) + R"(","pad":")" +
         std::string(pad, 'p') + "\"}";
}

bool breaks_off(Upstream& up) {
  bool open = !up.peer.head.empty() && !up.peer.raw.empty();
  for (const Frame& frame : up.peer.frames) {
    if (frame.opcode() < 8) open = !frame.fin() || !up.peer.raw.empty();
  }
  return open;
}

// A client with a leg to each of the servers.
struct Crowd : Survivor {
  explicit Crowd(config::Settings settings) : Survivor(std::move(settings)) {
    const std::size_t servers = house.runtime().snapshot->clusters()[0]->servers().size();
    for (int i = 0; house.dials() < servers && i < 20; ++i) {
      client.peer.text("warm up");
      house.run();
      ++before;
    }
    EXPECT_EQ(house.dials(), servers);
  }
  Upstream& up(std::size_t i) { return house.upstream(i); }
  // The server that has a part of a message.
  Upstream* holder() {
    for (std::size_t i = 0; i < house.dials(); ++i) {
      if (!up(i).wire.closed && breaks_off(up(i))) return &up(i);
    }
    return nullptr;
  }
  Messages heard() {  // whole ones, since the warming up
    Messages all = delivered();
    std::erase(all, "warm up");
    return all;
  }
  std::uint64_t taken() { return Survivor::taken() - before; }
  std::size_t copies(const std::string& text) {
    const Messages all = delivered();
    return static_cast<std::size_t>(std::ranges::count(all, text));
  }
  std::uint64_t before = 0;
};

struct Death {
  const char* name;
  void (*happen)(Upstream&);
};
const std::vector<Death> kDeaths{
    {"reset", [](Upstream& up) { up.wire.reset(); }},
    {"end", [](Upstream& up) { up.wire.finish(); }},
    {"1001", [](Upstream& up) { up.peer.close(1001, "going away"); }},
    {"1012", [](Upstream& up) {
       up.peer.close(1012);
       up.wire.finish();
     }},
};

// ---- one of several, between messages ------------------------------------------------------------------------------------

TEST(SurviveSpread, TheOthersGoOn) {
  for (const InFlight policy : {InFlight::hold, InFlight::fail, InFlight::drop}) {
    for (const Death& death : kDeaths) {
      SCOPED_TRACE(death.name);
      Crowd s(spread_surviving(policy, 3));
      s.up(1).peer.text("last words");
      s.house.run();
      death.happen(s.up(1));
      s.house.run();
      s.house.on_dial = [](Upstream& up) { up.script = Script::refuse; };
      Messages sent;
      for (int i = 0; i < 12; ++i) {
        sent.push_back(std::to_string(i));
        s.client.peer.text(sent.back());
        s.house.run();
      }
      s.up(2).peer.text("on");
      s.house.run();
      s.expect_alive();
      EXPECT_EQ(s.client.peer.messages(), (Messages{"last words", "on"}));
      EXPECT_EQ(s.heard().size(), 12u);
      EXPECT_GE(s.up(0).peer.messages().size() + s.up(2).peer.messages().size(), 12u);
      EXPECT_EQ(s.revivals(Revived::revived), 1u);
      EXPECT_EQ(s.all_dropped(), 0u);
      s.house.advance(6s);
      EXPECT_TRUE(s.up(1).wire.closed);
      s.leave();
    }
  }
}

TEST(SurviveSpread, ItsServerIsChosenAgainWhenItIsBack) {
  Crowd s(spread_surviving());
  s.up(0).wire.reset();
  s.house.run();
  s.house.advance(2s);
  for (int i = 0; i < 4; ++i) {
    s.client.peer.text(std::to_string(i));
    s.house.run();
  }
  ASSERT_EQ(s.house.dials(), 3u);
  EXPECT_EQ(s.last().address, s.up(0).address);
  EXPECT_EQ(s.last().peer.messages().size(), 2u);
  s.leave();
}

TEST(SurviveSpread, AServersGoodbyeIsAnswered) {
  Crowd s(spread_surviving());
  s.up(0).peer.close(1001, "going away");
  s.house.run();
  EXPECT_EQ(s.up(0).peer.close_code(), 1001u);
  s.up(0).wire.finish();
  s.house.run();
  EXPECT_TRUE(s.up(0).wire.closed);
  EXPECT_EQ(s.house.server(0).failures.load() + s.house.server(1).failures.load(), 0u) << "a restart is no fault";
  s.leave();
}

TEST(SurviveSpread, OrdinaryClosesAreTheApplicationsWord) {
  Crowd s(spread_surviving());
  s.client.peer.answers_close = true;
  s.up(1).peer.close(4001, "as you wish");
  s.house.run();
  EXPECT_EQ(s.client.peer.close_code(), 4001u);
  EXPECT_EQ(s.up(0).peer.close_code(), 1001u);
}

// ---- a message of the client on its way ----------------------------------------------------------------------------------

struct Cut {
  const char* name;
  std::string sent;
  std::string rest;
  std::string whole;
};
std::vector<Cut> cuts() {
  const std::string long_one(300, 'u');
  const std::string frame = frame_octets(0x82, long_one, true);
  std::vector<Cut> all;
  for (const std::size_t at : {8u, 9u, 150u}) all.push_back({"in a frame", frame.substr(0, at), frame.substr(at), long_one});
  all.push_back({"but for an octet", frame.substr(0, frame.size() - 1), frame.substr(frame.size() - 1), long_one});
  const std::string begin = frame_octets(0x01, "frag", true);
  const std::string middle = frame_octets(0x00, "ment", true);
  const std::string end = frame_octets(0x80, "ed", true);
  all.push_back({"between fragments", begin, middle + end, "fragmented"});
  all.push_back({"in a fragment", begin + middle.substr(0, 8), middle.substr(8) + end, "fragmented"});
  return all;
}

template <typename Judge>
void each_cut_and_death(InFlight policy, std::size_t servers, Judge judge) {
  for (const Cut& cut : cuts()) {
    for (const Death& death : kDeaths) {
      for (const bool at_once : {false, true}) {
        SCOPED_TRACE(std::string(cut.name) + ", " + death.name + (at_once ? ", the rest at once" : ""));
        Crowd s(spread_surviving(policy, servers));
        s.client.peer.text("before");
        s.client.wire.send(cut.sent);
        s.house.run();
        Upstream* const holder = s.holder();
        ASSERT_NE(holder, nullptr);
        death.happen(*holder);
        s.house.run();
        if (at_once) s.client.wire.send(cut.rest);
        s.house.run();
        s.wait();
        if (!at_once) s.client.wire.send(cut.rest);
        s.client.peer.text("after");
        s.house.run();
        judge(s, cut);
      }
    }
  }
}

TEST(SurviveSpreadInFlight, HeldItIsSentAgainFromItsFirstOctet) {
  for (const std::size_t servers : {1u, 2u, 3u}) {
    each_cut_and_death(InFlight::hold, servers, [](Crowd& s, const Cut& cut) {
      s.expect_alive();
      Messages heard = s.heard();
      std::ranges::sort(heard);
      Messages expected{"before", cut.whole, "after"};
      std::ranges::sort(expected);
      EXPECT_EQ(heard, expected);
      EXPECT_EQ(s.taken(), 3u);
      EXPECT_EQ(s.all_dropped(), 0u);
      EXPECT_EQ(s.revivals(Revived::revived), 1u);
      s.leave();
    });
  }
}

TEST(SurviveSpreadInFlight, DroppedTheRestOfItIsSwallowedAndItIsCounted) {
  for (const std::size_t servers : {1u, 2u}) {
    each_cut_and_death(InFlight::drop, servers, [](Crowd& s, const Cut& cut) {
      s.expect_alive();
      EXPECT_EQ(s.copies("before") + s.copies("after"), 2u);
      EXPECT_EQ(s.copies(cut.whole), 0u);
      EXPECT_EQ(s.taken(), 3u);
      EXPECT_EQ(s.dropped(Dropped::in_flight), 1u);
      EXPECT_EQ(s.all_dropped(), 1u);
      s.leave();
    });
  }
}

TEST(SurviveSpreadInFlight, FailingItClosesTheClient) {
  each_cut_and_death(InFlight::fail, 2, [](Crowd& s, const Cut&) {
    EXPECT_EQ(s.client.peer.close_code(), 1011u);
    EXPECT_EQ(s.heard(), Messages{"before"});
    EXPECT_EQ(s.revivals(Revived::in_flight), 1u);
    EXPECT_EQ(s.taken() - s.all_dropped(), 1u);
    s.leave();
  });
}

TEST(SurviveSpreadInFlight, OneThatIsLargerThanTheBufferCannotBeHeld) {
  config::Settings settings = spread_surviving();
  survive_of(settings).buffer = 1024;
  for (const std::size_t size : {1000u, 1024u + 9u}) {
    SCOPED_TRACE(size);
    Crowd s(settings);
    const std::string frame = frame_octets(0x82, std::string(size, 'x'), true);
    s.client.wire.send(frame.substr(0, frame.size() - 1));
    s.house.run();
    s.holder()->wire.reset();
    s.house.run();
    s.client.wire.send(frame.substr(frame.size() - 1));
    s.house.run();
    EXPECT_EQ(s.client.peer.close_code(), size == 1000u ? 0u : 1011u);
    EXPECT_EQ(s.heard().size(), size == 1000u ? 1u : 0u);
  }
}

// What its server has taken no octet of goes to the next one under every policy; those behind it wait with the client.
TEST(SurviveSpreadInFlight, AMessageThatHasNotBegunGoesElsewhere) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  for (const InFlight policy : {InFlight::hold, InFlight::fail, InFlight::drop}) {
    Crowd s(spread_surviving(policy));
    s.up(0).wire.open_window(0);
    s.up(1).wire.open_window(0);
    for (const char* text : {"one", "two", "three"}) s.client.peer.text(text);
    s.house.run();
    s.up(0).wire.reset();
    s.house.run();
    s.up(1).wire.reset();
    s.house.run();
    s.wait();
    s.expect_alive();
    EXPECT_EQ(s.copies("one") + s.copies("two") + s.copies("three"), 3u);
    EXPECT_EQ(s.all_dropped(), 0u);
    s.leave();
  }
}

// A stream that keeps octets itself (TLS) has had all of the message, and its server has not.
TEST(SurviveSpreadInFlight, WhatAStreamKeptOfItIsNotSentTwice) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  for (const InFlight policy : {InFlight::hold, InFlight::drop}) {
    Crowd s(spread_surviving(policy));
    for (std::size_t i = 0; i < 2; ++i) {
      s.up(i).wire.takes_all = true;
      s.up(i).wire.open_window(100);
    }
    const std::string big(5000, 'b');
    s.client.peer.binary(big);
    s.house.run();
    Upstream& holder = *s.holder();
    holder.peer.close(1001);
    s.house.run();
    for (std::size_t i = 0; i < 2; ++i) s.up(i).wire.open_window(Wire::kUnlimited);
    s.house.run();
    EXPECT_EQ(s.copies(big), policy == InFlight::hold ? 1u : 0u);
    EXPECT_EQ(s.all_dropped(), policy == InFlight::hold ? 0u : 1u);
    s.expect_alive();
    s.leave();
  }
}

TEST(SurviveSpreadInFlight, OneThatAStalledServerHasInPartGoesElsewhere) {
  config::Settings settings = spread_surviving();
  rules_of(settings).write_stall = 5s;
  Crowd s(settings);
  const std::size_t first = s.house.dials();
  s.up(0).wire.open_window(100);
  s.up(1).wire.open_window(100);
  const std::string big(5000, 'b');
  s.client.peer.binary(big);
  s.client.peer.text("behind");
  s.house.run();
  Upstream& holder = *s.holder();
  Upstream& other = &holder == &s.up(0) ? s.up(1) : s.up(0);
  other.wire.open_window(Wire::kUnlimited);
  s.house.advance(4s);
  EXPECT_EQ(s.copies(big), 0u);
  s.house.advance(3s);
  EXPECT_EQ(s.copies(big), 1u);
  EXPECT_EQ(s.copies("behind"), 1u);
  EXPECT_EQ(s.house.dials(), first);
  s.expect_alive();
  s.leave();
}

// ---- a message to the client on its way -----------------------------------------------------------------------------------

TEST(SurviveSpreadHalfSent, InAFrameTheClientsStreamEndsAndBetweenFragmentsItIsClosed) {
  {
    Crowd s(spread_surviving());
    const std::string frame = frame_octets(0x82, std::string(100, 'd'), false);
    s.up(1).wire.send(frame.substr(0, 50));
    s.house.run();
    s.up(1).wire.reset();
    s.house.run();
    EXPECT_TRUE(s.client.wire.ended());
    EXPECT_FALSE(s.client.wire.aborted);
    EXPECT_EQ(s.client.peer.raw, frame.substr(0, 50));
    EXPECT_EQ(s.revivals(Revived::half_sent), 1u);
  }
  for (const Death& death : kDeaths) {
    SCOPED_TRACE(death.name);
    Crowd s(spread_surviving());
    s.up(1).peer.send(0x01, "half ");
    s.house.run();
    death.happen(s.up(1));
    s.house.run();
    EXPECT_NE(s.client.peer.close_code(), 0u);
    EXPECT_EQ(s.revivals(Revived::half_sent), 1u);
  }
}

// One that waits at the gate while another's message passes has its turn even when it is gone.
TEST(SurviveSpreadHalfSent, WhatALostServerHasSaidPassesTheGate) {
  config::Settings settings = spread_surviving();
  rules_of(settings).write_stall = 5s;
  Crowd s(settings);
  s.up(0).peer.send(0x01, "a long ");
  s.house.run();
  s.up(1).peer.text("in between");
  s.house.run();
  s.up(1).wire.open_window(10);
  s.client.peer.binary(std::string(1000, 'u'));
  s.client.peer.binary(std::string(1000, 'v'));
  s.house.run();
  s.house.advance(7s);
  EXPECT_EQ(s.heard().size(), 2u);
  s.up(0).peer.send(0x80, "message");
  s.house.run();
  EXPECT_EQ(s.client.peer.messages(), (Messages{"a long message", "in between"}));
  s.expect_alive();
  s.leave();
}

// The tail of a lost server's message waits for a slow client: nobody's message comes in front of it.
TEST(SurviveSpreadHalfSent, WhatASlowClientHasNotTakenYetIsNotCut) {
  for (const bool takes_all : {false, true}) {
    for (const Death& death : kDeaths) {
      SCOPED_TRACE(death.name);
      Crowd s(spread_surviving());
      s.client.wire.takes_all = takes_all;
      s.client.wire.open_window(10);
      const std::string big(20'000, 'd');
      s.up(0).peer.binary(big);
      s.house.run();
      s.up(1).peer.text("from another");
      s.house.run();
      s.up(0).wire.open_window(0);
      s.client.peer.text("found out");
      s.client.peer.text("by a write");
      s.house.run();
      death.happen(s.up(0));
      s.house.run();
      s.client.wire.open_window(1000);
      s.house.run();
      s.client.wire.open_window(Wire::kUnlimited);
      s.house.run();
      s.expect_alive();
      EXPECT_EQ(s.client.peer.messages(), (Messages{big, "from another"}));
      s.house.advance(6s);
      s.expect_alive();
      s.leave();
    }
  }
}

// ---- by key -----------------------------------------------------------------------------------------------------------------

TEST(SurviveSpreadByKey, TheOrderOfAKeyIsKeptOverItsNewHome) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  config::Settings settings = spread_surviving(InFlight::hold, 4);
  settings.backends[0].policy = upstream::Policy::consistent_hash;
  settings.backends[0].key.kind = upstream::HashKey::Kind::json;
  settings.backends[0].key.pointer = JsonPointer::parse("/key");
  settings.routes[0].inspect = 2048;
  const auto message = [](int key, int number) {
    return R"({"key":"k)" + std::to_string(key) + R"(","n":)" + std::to_string(number) + "}";
  };
  for (int victim = 0; victim < 8; ++victim) {
    Survivor s(settings);
    for (int key = 0; key < 8; ++key) s.client.peer.text(message(key, 0));
    s.house.run();
    // Half of a message of the victim's, and its server dies; then all go on.
    const std::string frame = frame_octets(0x81, message(victim, 1), true);
    s.client.wire.send(frame.substr(0, frame.size() - 1));
    s.house.run();
    s.client.wire.send(frame.substr(frame.size() - 1));
    for (std::size_t i = 0; i < s.house.dials(); ++i) {
      const Messages heard = s.house.upstream(i).peer.messages();
      if (std::ranges::find(heard, message(victim, 0)) != heard.end()) s.house.upstream(i).wire.reset();
    }
    for (int number = 2; number < 5; ++number) {
      for (int key = 0; key < 8; ++key) s.client.peer.text(message(key, number));
      s.house.run();
      s.house.advance(700ms);
    }
    s.expect_alive();
    std::map<int, int> last;
    for (std::size_t i = 0; i < s.house.dials(); ++i) {
      std::map<int, int> here;
      for (const std::string& text : s.house.upstream(i).peer.messages()) {
        const int key = text[9] - '0';
        const int number = text[text.size() - 2] - '0';
        if (here.contains(key)) EXPECT_GT(number, here[key]);
        here[key] = number;
        ++last[key];
      }
    }
    for (int key = 0; key < 8; ++key) EXPECT_EQ(last[key], key == victim ? 5 : 4) << "each once";
    EXPECT_EQ(s.taken(), s.delivered().size());
    s.leave();
  }
}

// ---- to all, and in a race ----------------------------------------------------------------------------------------------------

struct Fanned : Crowd {
  explicit Fanned(InFlight policy, std::string_view method = "all") : Crowd(fanning(policy)) {
    whole = request(method, 1, 500);
    const std::string frame = frame_octets(0x81, whole, true);
    // Each has the whole of it but for one, who takes a part.
    up(1).wire.open_window(100);
    client.wire.send(frame);
    house.run();
  }
  std::string whole;
};

TEST(SurviveSpreadToAll, ACopyThatWasCutIsSentOnceMore) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  for (const Death& death : kDeaths) {
    SCOPED_TRACE(death.name);
    Fanned s(InFlight::hold);
    EXPECT_EQ(s.copies(s.whole), 2u);
    death.happen(s.up(1));
    s.house.run();
    ASSERT_EQ(s.house.dials(), 4u);
    EXPECT_EQ(s.last().address, s.up(1).address);
    EXPECT_EQ(s.copies(s.whole), 3u);
    EXPECT_EQ(s.last().peer.messages(), Messages{s.whole});
    s.client.peer.text("after");
    s.house.run();
    EXPECT_EQ(s.copies("after"), 1u);
    s.expect_alive();
    EXPECT_EQ(s.all_dropped(), 0u);
    EXPECT_EQ(s.house.route_tally().fan_skipped.get(), 0u);
    s.leave();
  }
}

TEST(SurviveSpreadToAll, AServerThatCannotBeHadAtOnceGoesWithout) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  for (const Script script : {Script::refuse, Script::hang, Script::accept}) {
    Fanned s(InFlight::hold);
    s.house.on_dial = [script](Upstream& up) {
      up.script = script;
      if (script == Script::accept) up.wire.open_window(700);  // its handshake, and a part of the copy
    };
    s.up(1).wire.reset();
    s.house.run();
    if (script == Script::accept) {
      ASSERT_TRUE(breaks_off(s.last()));
      s.last().wire.reset();
    }
    s.house.advance(21s);
    s.client.peer.text("after");
    s.house.run();
    s.expect_alive();
    EXPECT_EQ(s.copies(s.whole), 2u) << "nobody has it twice";
    EXPECT_EQ(s.copies("after"), 1u);
    EXPECT_EQ(s.house.route_tally().fan_skipped.get(), 1u);
    EXPECT_EQ(s.all_dropped(), 0u);
    EXPECT_EQ(s.house.dials(), 4u);
  }
}

TEST(SurviveSpreadToAll, DroppedItIsSkippedAndFailingItClosesTheClient) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  {
    Fanned s(InFlight::drop);
    s.up(1).wire.reset();
    s.house.run();
    s.expect_alive();
    EXPECT_EQ(s.copies(s.whole), 2u);
    EXPECT_EQ(s.all_dropped(), 0u) << "somebody has it";
    EXPECT_EQ(s.house.route_tally().fan_skipped.get(), 1u);
    s.leave();
  }
  Fanned s(InFlight::fail);
  s.up(1).wire.reset();
  s.house.run();
  EXPECT_EQ(s.client.peer.close_code(), 1011u);
  EXPECT_EQ(s.revivals(Revived::in_flight), 1u);
}

TEST(SurviveSpreadToAll, TheOthersGetTheRestOfIt) {
  for (const InFlight policy : {InFlight::hold, InFlight::drop}) {
    Crowd s(fanning(policy));
    const std::string whole(3000, 'w');
    const std::string frame = frame_octets(0x82, whole, true);
    s.client.wire.send(frame.substr(0, 2500));
    s.house.run();
    ASSERT_TRUE(breaks_off(s.up(1)));
    s.up(1).wire.reset();
    s.house.run();
    EXPECT_EQ(s.house.dials(), 3u) << "the rest of it comes first";
    s.client.wire.send(frame.substr(2500));
    s.house.run();
    s.expect_alive();
    EXPECT_EQ(s.copies(whole), policy == InFlight::hold ? 3u : 2u);
    s.leave();
  }
}

TEST(SurviveSpreadToAll, WhenAllAreLostItIsAMessageOnItsWay) {
  for (const InFlight policy : {InFlight::hold, InFlight::drop}) {
    Crowd s(fanning(policy));
    const std::string whole(3000, 'w');
    const std::string frame = frame_octets(0x82, whole, true);
    s.client.wire.send(frame.substr(0, 2500));
    s.house.run();
    for (std::size_t i = 0; i < 3; ++i) s.up(i).wire.reset();
    s.house.run();
    s.client.wire.send(frame.substr(2500));
    s.house.run();
    s.house.advance(3s);
    s.expect_alive();
    EXPECT_GE(s.copies(whole), policy == InFlight::hold ? 1u : 0u);
    EXPECT_EQ(s.all_dropped(), policy == InFlight::hold ? 0u : 1u);
    s.client.peer.text(request("all", 2));
    s.house.run();
    EXPECT_EQ(s.copies(request("all", 2)), 3u) << "the set is whole again";
    s.leave();
  }
}

TEST(SurviveSpreadToAll, OneThatCannotBeKeptFails) {
  config::Settings settings = fanning(InFlight::hold);
  survive_of(settings).buffer = 2000;
  Crowd s(settings);
  const std::string frame = frame_octets(0x82, std::string(9000, 'w'), true);
  s.client.wire.send(frame.substr(0, 2100));
  s.house.run();
  s.up(1).wire.reset();
  s.house.run();
  s.client.wire.send(frame.substr(2100));
  s.house.run();
  EXPECT_EQ(s.client.peer.close_code(), 1011u);
}

TEST(SurviveSpreadRace, ADeadServerNoLongerAnswers) {
#ifdef SLUICE_SIM_SOCKETS
  GTEST_SKIP() << "what the kernel has taken for a server that is gone is the kernel's to say";
#endif
  for (const InFlight policy : {InFlight::hold, InFlight::fail, InFlight::drop}) {
    Fanned s(policy, "race");
    s.up(1).wire.reset();
    s.house.run();
    s.expect_alive();
    EXPECT_EQ(s.house.dials(), 3u) << "the others answer";
    s.up(2).peer.text(R"({"id":1,"result":"two"})");
    s.house.run();
    s.up(0).peer.text(R"({"id":1,"result":"zero"})");
    s.house.run();
    EXPECT_EQ(s.client.peer.messages(), Messages{R"({"id":1,"result":"two"})"});
    s.leave();
  }
}

TEST(SurviveSpreadRace, WhenAllAreLostItIsRunAgain) {
  Crowd s(fanning(InFlight::hold));
  const std::string whole = request("race", 7, 1000);
  for (std::size_t i = 0; i < 3; ++i) s.up(i).wire.open_window(500);
  s.client.peer.text(whole);
  s.house.run();
  for (std::size_t i = 0; i < 3; ++i) s.up(i).wire.finish();
  s.house.run();
  EXPECT_EQ(s.copies(whole), 0u);
  s.house.advance(3s);
  EXPECT_GE(s.copies(whole), 1u);
  for (std::size_t i = 3; i < s.house.dials(); ++i) {
    if (s.up(i).peer.messages() == Messages{whole}) s.up(i).peer.text(R"({"id":7,"result":)" + std::to_string(i) + "}");
    s.house.run();
  }
  EXPECT_EQ(s.client.peer.messages().size(), 1u);
  s.expect_alive();
  s.leave();
}

// ---- while nobody serves ---------------------------------------------------------------------------------------------------------

struct Lonely : Crowd {
  explicit Lonely(config::Settings settings = spread_surviving()) : Crowd(std::move(settings)) {
    house.on_dial = [](Upstream& up) { up.script = Script::refuse; };
    const std::size_t legs = house.dials();
    for (std::size_t i = 0; i < legs; ++i) {
      up(i).wire.reset();
      house.run();
    }
  }
};

TEST(SurviveSpreadAway, TheLastLossIsSurvivedWithoutAMessage) {
  Crowd s(spread_surviving());
  for (std::size_t i = 0; i < 2; ++i) {
    s.up(i).wire.reset();
    s.house.run();
  }
  s.wait();
  ASSERT_EQ(s.house.dials(), 3u);
  s.last().peer.text("a word of its own");
  s.house.run();
  EXPECT_EQ(s.client.peer.messages(), Messages{"a word of its own"});
  EXPECT_EQ(s.revivals(Revived::revived), 2u);
  s.expect_alive();
  s.leave();
}

TEST(SurviveSpreadAway, MessagesWaitInTheirOrderAndPingsAreAnswered) {
  for (const InFlight policy : {InFlight::hold, InFlight::fail, InFlight::drop}) {
    Lonely s(spread_surviving(policy));
    s.client.peer.text("one");
    s.client.peer.ping("p1");
    s.client.peer.send(0x01, "tw");
    s.client.peer.ping("p2");
    s.house.run();
    EXPECT_GE(s.client.peer.count(10), 1u);
    s.house.advance(3s);
    s.client.peer.send(0x80, "o");
    s.client.peer.text("three");
    s.house.run();
    EXPECT_GT(s.house.dials(), 4u);
    s.expect_alive();
    s.house.on_dial = {};
    s.house.advance(6s);
    Messages heard = s.heard();
    std::ranges::sort(heard);
    EXPECT_EQ(heard, (Messages{"one", "three", "two"}));
    EXPECT_EQ(s.all_dropped(), 0u);
    EXPECT_EQ(s.taken(), 3u);
    s.leave();
  }
}

TEST(SurviveSpreadAway, NoMoreIsReadThanTheBufferHolds) {
  config::Settings settings = spread_surviving();
  survive_of(settings).buffer = 16 * 1024;
  Lonely s(settings);
  const std::size_t messages = 300;
  for (std::size_t i = 0; i < messages; ++i) s.client.peer.binary(std::string(1000, static_cast<char>('a' + i % 26)));
  s.house.run();
  s.house.advance(2s);
  EXPECT_GT(s.client.wire.unread(), messages * 1008 - 16 * 1024 - 2 * kChunk);
  s.house.on_dial = {};
  s.house.advance(10s);
  EXPECT_EQ(s.heard().size(), messages);
  EXPECT_EQ(s.taken(), messages);
  s.expect_alive();
  s.leave();
}

TEST(SurviveSpreadAway, WhenNobodyTakesOverTheClientIsClosed) {
  for (const Script script : {Script::refuse, Script::hang}) {
    Lonely s;
    s.house.on_dial = [script](Upstream& up) { up.script = script; };
    s.client.peer.text("kept");
    s.client.peer.send(0x01, "and half of");
    s.house.run();
    s.house.advance(28s);
    s.expect_alive();
    s.house.advance(3s);
    EXPECT_EQ(s.client.peer.close_code(), 1011u);
    EXPECT_EQ(s.client.peer.close_frame()->reason(), "no_backend");
    EXPECT_EQ(s.revivals(Revived::timeout), 1u);
    EXPECT_EQ(s.dropped(Dropped::no_server), 1u);
    EXPECT_EQ(s.taken(), 1u);
    EXPECT_LE(s.house.dials(), 120u);
    s.leave();
  }
}

TEST(SurviveSpreadAway, ItEndsWithTheClient) {
  const std::vector<void (*)(Lonely&)> ends{
      [](Lonely& s) { s.client.peer.close(1000, "bye"); },
      [](Lonely& s) { s.client.wire.reset(); },
      [](Lonely& s) { s.client.wire.finish(); },
      [](Lonely& s) {
        s.client.peer.answers_close = true;
        s.house.drain_all();
      },
  };
  for (std::size_t i = 0; i < ends.size(); ++i) {
    SCOPED_TRACE(i);
    Lonely s;
    s.client.peer.text("kept");
    s.house.run();
    s.wait();
    ends[i](s);
    s.house.run();
    EXPECT_EQ(s.client.peer.close_code(), i == 0 ? 1000u : i == 3 ? 1001u : 0u);
    EXPECT_EQ(s.revivals(Revived::abandoned), 1u);
    EXPECT_EQ(s.dropped(Dropped::closing), 1u);
    const std::size_t dials = s.house.dials();
    s.house.advance(10s);
    EXPECT_EQ(s.house.dials(), dials) << "nobody is asked any more";
    s.client.wire.finish();
    s.house.run();
    s.house.advance(8s);
    EXPECT_EQ(s.house.alive(), 0u);
    EXPECT_EQ(s.house.pool().lent(), 0u);
  }
}

// A rule's own backend is down: its messages wait, those that stand behind them wait with them, and the client stays.
TEST(SurviveSpreadAway, AMessageForABackendThatIsDownWaits) {
  config::Settings settings = spread_surviving();
  settings.routes[0].inspect = 2048;
  upstream::BackendSettings other = settings.backends[0];
  other.name = "other";
  other.servers.resize(1);
  other.servers[0].url = "ws://10.0.1.1:9000";
  other.servers[0].host = "10.0.1.1";
  settings.backends.push_back(other);
  upstream::MessageMatch match;
  match.pointer = JsonPointer::parse("/method");
  match.test = upstream::MessageMatch::Test::equals;
  match.value = "other";
  settings.routes[0].messages.push_back({"other", match, "other", Aim::one});
  Crowd s(settings);
  s.house.on_dial = [](Upstream& up) {
    if (up.address.starts_with("10.0.1.")) up.script = Script::refuse;
  };
  s.client.peer.text(request("other", 1));
  s.client.peer.text("behind");
  s.house.run();
  s.house.advance(5s);
  s.expect_alive();
  EXPECT_EQ(s.copies("behind"), 0u);
  s.up(0).peer.text("down as ever");
  s.house.run();
  EXPECT_EQ(s.client.peer.messages(), Messages{"down as ever"});
  s.house.on_dial = {};
  s.house.advance(6s);
  EXPECT_EQ(s.copies(request("other", 1)), 1u);
  EXPECT_EQ(s.copies("behind"), 1u);
  s.expect_alive();
  s.client.wire.finish();
  s.house.run();
  s.house.advance(8s);
  EXPECT_EQ(s.house.alive(), 0u);
}

// ---- told to leave -----------------------------------------------------------------------------------------------------------------

struct Leaving : Crowd {
  explicit Leaving(std::size_t servers = 2, InFlight policy = InFlight::hold) : Crowd(with_close(spread_surviving(policy, servers))) {}
  static config::Settings with_close(config::Settings settings) {
    settings.routes[0].close_on_server_down = true;
    return settings;
  }
  void go_down(Upstream& up) {
    for (std::size_t i = 0; i < house.runtime().snapshot->clusters()[0]->servers().size(); ++i) {
      if (up.address.starts_with("10.0.0." + std::to_string(i + 1) + ":")) house.server(i).command_duty(upstream::Duty::down);
    }
    house.advance(2s);
  }
};

TEST(SurviveSpreadMove, AMessageIsFinishedWhereItBegan) {
  for (const InFlight policy : {InFlight::hold, InFlight::fail, InFlight::drop}) {
    for (const std::size_t servers : {1u, 2u}) {
      for (const Cut& cut : cuts()) {
        SCOPED_TRACE(cut.name);
        Leaving s(servers == 1 ? 2 : 3, policy);
        if (servers == 1) {  // one leg alone is left, and its server is to be left
          s.up(0).wire.reset();
          s.house.run();
        }
        s.client.wire.send(cut.sent);
        s.house.run();
        Upstream& holder = *s.holder();
        s.go_down(holder);
        s.house.advance(12s);
        EXPECT_EQ(holder.peer.close_frame(), nullptr);
        s.client.wire.send(cut.rest);
        s.house.run();
        EXPECT_EQ(holder.peer.messages().back(), cut.whole);
        EXPECT_EQ(holder.peer.close_code(), 1001u);
        for (int i = 0; i < 3; ++i) {
          s.client.peer.text("after");
          s.house.run();
        }
        EXPECT_EQ(s.copies("after"), 3u);
        EXPECT_EQ(holder.peer.messages().back(), cut.whole);
        s.expect_alive();
        EXPECT_EQ(s.revivals(Revived::moved), 1u);
        EXPECT_EQ(s.all_dropped(), 0u);
        s.leave();
      }
    }
  }
}

TEST(SurviveSpreadMove, ItsAnswersStillPass) {
  Leaving s;
  s.up(1).peer.send(0x01, "half ");
  s.house.run();
  s.go_down(s.up(1));
  EXPECT_EQ(s.up(1).peer.close_code(), 1001u);
  s.up(0).peer.text("from the other");
  s.house.run();
  s.up(1).peer.send(0x80, "whole");
  s.up(1).peer.close(1001);
  s.up(1).wire.finish();
  s.house.run();
  s.expect_alive();
  EXPECT_EQ(s.client.peer.messages(), (Messages{"half whole", "from the other"}));
  EXPECT_TRUE(s.up(1).wire.closed);
  s.leave();
}

TEST(SurviveSpreadMove, WhereNobodyElseServesTheClientTakesItsLeave) {
  Leaving s;
  s.client.peer.answers_close = true;
  s.house.on_dial = [](Upstream& up) { up.script = Script::refuse; };
  s.up(0).wire.reset();
  s.house.run();
  s.go_down(s.up(1));
  s.house.advance(20s);
  s.expect_alive();
  s.house.advance(15s);
  EXPECT_EQ(s.client.peer.close_code(), 1012u);
}

}  // namespace
}  // namespace sluice::test
