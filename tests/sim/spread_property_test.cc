// Properties of messages spread over legs: whatever dies, is slow, or is cut wherever, no message is cut or mixed with
// another, the messages of a key reach a server in their order, and nothing is left behind when all are gone. Where the client
// survives, every message that was taken is with a server or counted, and the client is closed for a reason that is counted.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <optional>
#include <set>

#include "support/spread.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using upstream::Aim;
using upstream::MessageMatch;
using upstream::MessageRule;

constexpr int kKeys = 5;

// "one": by key; "all": to everybody; "race": to everybody, and one answer.
config::Settings everything(std::size_t servers, std::uint32_t max_legs) {
  config::Settings settings = spread(servers, max_legs);
  settings.backends[0].policy = upstream::Policy::consistent_hash;
  settings.backends[0].key.kind = upstream::HashKey::Kind::json;
  settings.backends[0].key.pointer = JsonPointer::parse("/key");
  settings.routes[0].inspect = 2048;
  settings.backends[0].max_connections = 8;
  add_limit(settings, policy::LimitSettings::Unit::connections, policy::LimitSettings::Key::ip, 1);
  for (const auto& [method, aim] : {std::pair{"all", Aim::all}, std::pair{"race", Aim::race}}) {
    MessageMatch match;
    match.pointer = JsonPointer::parse("/method");
    match.test = MessageMatch::Test::equals;
    match.value = method;
    settings.routes[0].messages.push_back({method, match, "", aim});
  }
  return settings;
}

struct Run {
  Run(std::size_t servers, std::uint32_t max_legs, std::optional<config::InFlight> in_flight = {}, bool keeps = false)
      : survives(in_flight), house(surviving(everything(servers, max_legs), in_flight)) {
    house.on_dial = [this, keeps](Upstream& up) {
      up.wire.takes_all = keeps;
      up.peer.answers_close = false;  // it would answer in the middle of a frame that it has sent in part
      if (refusing) up.script = SimHouse::Script::refuse;
    };
    client = &house.open();
    client->peer.answers_close = true;
  }

  static config::Settings surviving(config::Settings settings, std::optional<config::InFlight> in_flight) {
    if (!in_flight) return settings;
    config::SurviveSettings& survive = settings.routes[0].survive.emplace();
    survive.in_flight = *in_flight;
    survive.buffer = 4000;
    survive.timeout = 1h;
    settings.backends[0].ejection.failures = 0;
    rules_of(settings).write_stall = 8s;
    return settings;
  }

  // A message in fragments; its octets wait in `outbox`, so that they are sent in pieces of any size.
  void say(const std::string& method, std::uint32_t how) {
    const int key = static_cast<int>(how % kKeys);
    std::string text = R"({"jsonrpc":"2.0","id":)" + std::to_string(sent.size()) + R"(,"method":")" + method +
                       R"(","key":")" + std::to_string(key) + R"(","pad":")" +
                       std::string((how >> 3) % 7 == 0 ? 5000 : (how >> 3) % 300, 'p') + "\"}";
    const std::size_t cut = how % text.size();
    if (how % 3 == 0) {
      outbox += frame_octets(0x81, text, true);
    } else {
      outbox += frame_octets(0x01, text.substr(0, cut), true);
      if (how % 3 == 1) outbox += frame_octets(0x89, "in between", true);
      outbox += frame_octets(0x80, text.substr(cut), true);
    }
    sent.emplace(std::move(text), sent.size());
  }

  static bool breaks_off(const WsPeer& peer) {
    bool open = false;
    for (const auto& frame : peer.frames) {
      if (frame.opcode() < 8) open = !frame.fin();
    }
    return open;
  }

  // A server answers something that it has heard, each message once, or says something of its own.
  void answer(Upstream& up, std::uint32_t how) {
    if (goodbye.contains(&up)) return;
    std::vector<std::string> heard = up.peer.messages();
    if (breaks_off(up.peer)) heard.pop_back();  // it has not come as a whole yet
    if (how % 4 != 0 && !heard.empty()) {
      const std::string& message = heard[how % heard.size()];
      if (!answered[&up].insert(message).second) return;
      const std::size_t id = message.find("\"id\":") + 5;
      const std::string text = R"({"id":)" + message.substr(id, message.find(',', id) - id) + R"(,"result":")" +
                               up.address + std::string(how % 200, 'r') + "\"}";
      inboxes[&up] += frame_octets(0x81, text, false);
      said.insert(text);
    } else {
      const std::string text = up.address + " says " + std::string(how % 500, 's');
      inboxes[&up] += frame_octets(0x02, text.substr(0, how % text.size()), false) +
                      frame_octets(0x80, text.substr(how % text.size()), false);
      said.insert(text);
    }
  }
  static void send_some(std::string& from, Wire& to, std::size_t most) {
    const std::size_t size = std::min(from.size(), most);
    if (!to.closed && !to.dead) to.send(from.substr(0, size));
    from.erase(0, size);
  }

  void step(std::uint32_t op) {
    const std::uint32_t how = op / 16;
    Upstream& up = house.upstream(how % house.dials());
    switch (op % 16) {
      case 0: case 1: say("one", how); break;
      case 2: say("all", how); break;
      case 3: say("race", how); break;
      case 4: case 5: case 6: send_some(outbox, client->wire, 1 + how % 700); break;
      case 7: send_some(outbox, client->wire, outbox.size()); break;
      case 8: case 9: answer(up, how); break;
      case 10: send_some(inboxes[&up], up.wire, 1 + how % 300); break;
      case 11: up.wire.open_window(how % 5 == 0 ? Wire::kUnlimited : how % 600); break;
      case 12: client->wire.open_window(how % 3 == 0 ? Wire::kUnlimited : how % 600); break;
      case 13: house.advance(std::chrono::milliseconds(how % 1500)); break;
      case 14: refusing = how % 3 == 0; break;
      case 15:
        if (how % (survives ? 3 : 6) != 0 || !deaths) break;
        if (survives && how % 2 == 0 && inboxes[&up].empty() && !up.peer.head.empty() && !up.wire.closed) {
          if (goodbye.insert(&up).second) up.peer.close(1012);
        } else {
          how % 12 == 0 ? up.wire.reset() : up.wire.finish();
        }
        lost = true;
        break;
    }
    house.run();
  }

  void settle() {
    refusing = false;
    client->wire.open_window(Wire::kUnlimited);
    for (std::size_t i = 0; i < house.dials(); ++i) house.upstream(i).wire.open_window(Wire::kUnlimited);
    send_some(outbox, client->wire, outbox.size());
    for (std::size_t i = 0; i < house.dials(); ++i) {
      send_some(inboxes[&house.upstream(i)], house.upstream(i).wire, 1'000'000);
    }
    house.run();
    house.advance(5s);
    if (!survives) return;
    for (std::size_t i = 0; i < house.dials(); ++i) house.upstream(i).wire.open_window(Wire::kUnlimited);
    house.run();
    house.advance(60s);
  }

  // Whole messages that reached a server, each with the addresses where it did.
  std::map<std::string, std::multiset<std::string>> handed() {
    std::map<std::string, std::multiset<std::string>> all;
    for (std::size_t i = 0; i < house.dials(); ++i) {
      Upstream& up = house.upstream(i);
      std::vector<std::string> messages = up.peer.messages();
      if (breaks_off(up.peer)) messages.pop_back();
      for (const std::string& message : messages) all[message].insert(up.address);
    }
    return all;
  }
  std::uint64_t revivals(session::Revived result) {
    return house.route_tally().revivals[static_cast<std::size_t>(result)].get();
  }

  void check_survival() {
    using session::Revived;
    const bool alive = !client->wire.closed && !client->peer.close_frame();
    if (!alive) {
      const std::uint64_t reasons = revivals(Revived::half_sent) + revivals(Revived::in_flight) +
                                    house.route_tally().slow_consumers.get();
      RC_ASSERT(reasons > 0u);
    } else {
      RC_ASSERT(taken() == sent.size());
    }
    for (const auto& [message, addresses] : handed()) {
      const bool one = message.find("\"method\":\"one\"") != std::string::npos;
      if (one) RC_ASSERT(addresses.size() == 1u);
      for (const std::string& address : addresses) RC_ASSERT(addresses.count(address) == 1u);
    }
  }
  std::uint64_t taken() {
    const auto& messages = house.route_tally().flow[0].messages;
    return messages[0].get() + messages[1].get();
  }
  void check_sums() {
    std::uint64_t dropped = 0;
    for (const Counter& counter : house.route_tally().dropped) dropped += counter.get();
    RC_ASSERT(taken() == handed().size() + dropped);
  }

  void check_servers() {
    std::map<std::string, std::size_t> delivered;
    for (std::size_t i = 0; i < house.dials(); ++i) {
      std::map<char, std::size_t> last;
      std::set<std::string> twice;
      std::vector<std::string> messages = house.upstream(i).peer.messages();
      // A server that died inside a message has its beginning, and knows that it is not the end.
      if (lost && breaks_off(house.upstream(i).peer)) messages.pop_back();
      for (const std::string& message : messages) {
        const auto known = sent.find(message);
        RC_ASSERT(known != sent.end());  // whole, and of nobody else's octets
        RC_ASSERT(twice.insert(message).second);
        const char key = message[message.find("\"key\":\"") + 7];
        if (last.contains(key)) RC_ASSERT(known->second > last[key]);
        last[key] = known->second;
        ++delivered[message];
      }
    }
    if (lost) return;
    for (const auto& [message, number] : sent) RC_ASSERT(delivered.contains(message));  // nothing is lost
  }

  void check_client() {
    std::map<std::string, std::size_t> answers;
    const std::vector<std::string> messages = client->peer.messages();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string& message = messages[i];
      // Of a server that died between the frames of its message the client has the beginning, and then a Close.
      const bool broken_off = lost && i + 1 == messages.size() &&
                              std::ranges::any_of(said, [&](const auto& one) { return one.starts_with(message); });
      RC_ASSERT(said.contains(message) || broken_off);
      if (!message.starts_with("{\"id\":")) continue;
      const std::string id = message.substr(6, message.find(',') - 6);
      if (raced(id)) RC_ASSERT(++answers[id] == 1u);
    }
  }
  bool raced(const std::string& id) const {
    for (const auto& [message, number] : sent) {
      if (std::to_string(number) == id) return message.find("\"method\":\"race\"") != std::string::npos;
    }
    return false;
  }

  void leave() {
    house.hang_up();
    house.run();
    house.advance(8s);
    RC_ASSERT(house.alive() == 0u);
    RC_ASSERT(house.pool().lent() == 0u);
    RC_ASSERT(house.admitted() == 0u);
    for (std::size_t i = 0; i < house.runtime().snapshot->clusters()[0]->servers().size(); ++i) {
      RC_ASSERT(house.server(i).active.load() == 0u);
    }
    for (std::size_t i = 0; i < house.dials(); ++i) RC_ASSERT(house.upstream(i).wire.closed);
  }

  // Whatever was taken for the client has been given back: at its servers, its backend, and its limit of one connection.
  void check_permits() {
    const upstream::Cluster& cluster = *house.runtime().snapshot->clusters()[0];
    for (const auto& server : cluster.servers()) {
      RC_ASSERT(server->active.load() == 0u);
      RC_ASSERT(server->held.load() == 0u);
      RC_ASSERT(server->leaving.load() == 0u);
    }
    RC_ASSERT(cluster.load()->active.load() == 0u);
    RC_ASSERT(cluster.load()->held.load() == 0u);
    RC_ASSERT(house.open().peer.status() != 429);
  }

  const std::optional<config::InFlight> survives;
  SimHouse house;
  Client* client = nullptr;
  std::string outbox;
  std::map<Upstream*, std::string> inboxes;
  std::map<std::string, std::size_t> sent;  // by text: its number
  std::set<std::string> said;
  std::map<Upstream*, std::set<std::string>> answered;
  std::set<Upstream*> goodbye;  // have sent a Close
  bool refusing = false;
  bool deaths = false;
  bool lost = false;
};

void holds(bool deaths) {
  const bool good = rc::check([deaths] {
    const auto servers = *rc::gen::inRange<std::size_t>(2, 5);
    const auto legs = *rc::gen::inRange<std::uint32_t>(0, 4);
    const auto schedule = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, 1'000'000));
    Run run(servers, legs);
    run.deaths = deaths;
    for (const std::uint32_t op : schedule) run.step(op);
    run.settle();
    run.check_servers();
    run.check_client();
    run.leave();
    run.check_permits();
  });
  EXPECT_TRUE(good);
}

void survives(config::InFlight in_flight) {
  const bool good = rc::check([in_flight] {
    const auto servers = *rc::gen::inRange<std::size_t>(1, 5);
    const auto legs = *rc::gen::inRange<std::uint32_t>(0, 4);
    const auto keeps = *rc::gen::arbitrary<bool>();
    const auto schedule = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, 1'000'000));
    Run run(servers, legs, in_flight, keeps);
    run.deaths = run.lost = true;  // a server that takes nothing for long is lost, too
    for (const std::uint32_t op : schedule) run.step(op);
    run.settle();
    run.check_servers();
    run.check_client();
    run.check_survival();
    run.leave();
    run.check_sums();
    run.check_permits();
  });
  EXPECT_TRUE(good);
}

TEST(SpreadProperties, HoldHoweverSlowAndCutEverythingIs) { holds(false); }

TEST(SpreadProperties, HoldWhoeverDies) { holds(true); }

// What the kernel has taken for a server that is gone is the kernel's to say.
#ifndef SLUICE_SIM_SOCKETS
TEST(SpreadProperties, HoldWhereTheClientSurvivesAndMessagesAreSentAgain) { survives(config::InFlight::hold); }

TEST(SpreadProperties, HoldWhereTheClientSurvivesAndMessagesAreDropped) { survives(config::InFlight::drop); }

TEST(SpreadProperties, HoldWhereTheClientSurvivesOrIsClosed) { survives(config::InFlight::fail); }
#endif

}  // namespace
}  // namespace sluice::test
