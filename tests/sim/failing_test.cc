// Every operation fails in turn. For each conversation the input and output operations of a clean run are counted; then it
// is run again with the first, the second, ... of them failing: by an error, by the end of the stream, or by blocking once.
// Whatever fails, the session comes to its end in bounded time and leaves nothing behind.
#include <gtest/gtest.h>

#include "support/sim_house.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Limit = policy::LimitSettings;

struct Conversation {
  const char* name;
  config::Settings (*settings)();
  void (*talk)(SimHouse&);
};

// A peer that answers pings and Close, as long as it is asked.
void lives(WsPeer& peer) {
  peer.answers_close = true;
  peer.on_frame = [](WsPeer& self, const Frame& frame) {
    if (frame.opcode() == 9) self.pong(frame.payload);
  };
}

// A client that hangs up once it has been told the end.
Client& come(SimHouse& house, const std::string& request = upgrade_request()) {
  Client& client = house.connect();
  lives(client.peer);
  client.wire.send(request);
  house.run();
  return client;
}

void open_windows(SimHouse& house, Client& client, std::size_t octets, int times) {
  for (int i = 0; i < times; ++i) {
    client.wire.open_window(octets);
    for (std::size_t j = 0; j < house.dials(); ++j) house.upstream(j).wire.open_window(octets);
    house.run();
  }
  client.wire.open_window(Wire::kUnlimited);
  for (std::size_t j = 0; j < house.dials(); ++j) house.upstream(j).wire.open_window(Wire::kUnlimited);
  house.run();
}

config::Settings one_ws() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000"});
  add_limit(settings, Limit::Unit::connections, Limit::Key::ip, 1);
  return settings;
}
config::Settings two_ws() {
  config::Settings settings = settings_for({"ws://10.0.0.1:9000", "ws://10.0.0.2:9000"});
  add_limit(settings, Limit::Unit::connections, Limit::Key::ip, 1);
  return settings;
}
config::Settings tcp() {
  config::Settings settings = settings_for({"tcp://10.0.0.1:9000"});
  add_limit(settings, Limit::Unit::connections, Limit::Key::ip, 1);
  return settings;
}
config::Settings spread() {
  config::Settings settings = two_ws();
  settings.backends[0].unit = upstream::Unit::message;
  return settings;
}
config::Settings delayed() {
  config::Settings settings = one_ws();
  add_limit(settings, Limit::Unit::messages, Limit::Key::ip, 2);
  return settings;
}
config::Settings short_lived() {
  config::Settings settings = one_ws();
  rules_of(settings).max_lifetime = 3s;
  rules_of(settings).forward_pings = false;
  return settings;
}

config::Settings surviving(config::InFlight in_flight) {
  config::Settings settings = two_ws();
  settings.routes[0].survive.emplace();
  settings.routes[0].survive->in_flight = in_flight;
  settings.routes[0].survive->timeout = 3s;
  return settings;
}
config::Settings holding() { return surviving(config::InFlight::hold); }
config::Settings dropping() { return surviving(config::InFlight::drop); }
config::Settings spread_holding() {
  config::Settings settings = holding();
  settings.backends[0].unit = upstream::Unit::message;
  return settings;
}
config::Settings spread_dropping() {
  config::Settings settings = dropping();
  settings.backends[0].unit = upstream::Unit::message;
  return settings;
}
config::Settings to_all_holding() {
  config::Settings settings = spread_holding();
  upstream::MessageMatch binary;
  binary.opcode = 2;
  settings.routes[0].messages.push_back({"binary", binary, "", upstream::Aim::all});
  return settings;
}
config::Settings lines_holding() {
  config::Settings settings = holding();
  for (auto& server : settings.backends[0].servers) server.scheme = upstream::Scheme::tcp;
  settings.backends[0].framing.type = ws::TcpFraming::Type::delimiter;
  settings.backends[0].framing.delimiter = ws::Delimiter("\n");
  return settings;
}

void exchange(SimHouse& house, Client& client) {
  client.peer.text("hello");
  if (house.dials() > 0) house.last().peer.text("welcome");
  house.run();
  client.peer.send(0x01, "frag");
  client.peer.ping("p");
  house.run();
  client.peer.send(0x80, "ment");
  if (house.dials() > 0) house.last().peer.ping("q");
  house.run();
}

void client_closes(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  exchange(house, client);
  client.peer.close(1000, "done");
  house.run();
}

void upstream_closes(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  exchange(house, client);
  if (house.dials() > 0) {
    house.last().peer.close(1000, "done");
    house.last().wire.finish();
  }
  house.run();
}

void through_narrow_windows(SimHouse& house, bool takes_all) {
  house.on_dial = [takes_all](Upstream& up) {
    lives(up.peer);
    up.wire.takes_all = takes_all;
  };
  Client& client = come(house);
  client.wire.takes_all = takes_all;
  client.wire.open_window(10);
  if (house.dials() > 0) house.last().wire.open_window(10);
  for (int i = 0; i < 4; ++i) {
    client.peer.binary(std::string(5000, 'u'));
    if (house.dials() > 0) house.last().peer.binary(std::string(5000, 'd'));
  }
  client.peer.close(1000);
  house.run();
  open_windows(house, client, 4000, 12);
}

void narrow(SimHouse& house) { through_narrow_windows(house, false); }
void narrow_like_tls(SimHouse& house) { through_narrow_windows(house, true); }

void tcp_bridge(SimHouse& house) {
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = come(house);
  client.peer.binary("to tcp");
  if (house.dials() > 0) house.last().wire.send("from tcp");
  house.run();
  client.peer.close(1000);
  house.run();
  if (house.dials() > 0) house.last().wire.finish();
  house.run();
}

void tcp_ends(SimHouse& house) {
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  come(house);
  if (house.dials() > 0) {
    house.last().wire.send("all of it");
    house.last().wire.finish();
  }
  house.run();
}

void refused(SimHouse& house) {
  house.on_dial = [](Upstream& up) { up.peer.greeting = WsPeer::Greeting::none; };
  come(house);
  if (house.dials() == 0) return;
  house.last().wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nnot");
  house.run();
  house.last().wire.send("you");
  house.run();
}

void many_legs(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  for (int i = 0; i < 3; ++i) {
    client.peer.send(0x01, "frag");
    client.peer.ping("p");
    client.peer.send(0x80, "ment");
    house.run();
  }
  for (std::size_t i = 0; i < house.dials(); ++i) house.upstream(i).peer.send(0x01, "first ");
  house.run();
  for (std::size_t i = 0; i < house.dials(); ++i) house.upstream(i).peer.send(0x80, "second");
  house.run();
  client.peer.close(1000);
  house.run();
}

void drained(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  exchange(house, client);
  house.drain_all();
  client.peer.text("on its way");
  house.run();
}

void waits(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  for (int i = 0; i < 6; ++i) client.peer.text("x");
  house.run();
  house.advance(3s);
  client.peer.close(1000);
  house.run();
}

void octet_by_octet(SimHouse& house) {
  house.on_dial = [](Upstream& up) {
    lives(up.peer);
    up.wire.read_size = 40;
  };
  Client& client = house.connect();
  lives(client.peer);
  client.wire.read_size = 40;
  client.wire.send(upgrade_request());
  house.run();
  client.peer.text("hello");
  client.peer.close(1000);
  house.run();
}

void client_hangs_up(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  exchange(house, client);
  client.wire.reset();
  house.run();
}

// The server is lost between two messages, then with one on its way, then it says goodbye.
void loses_servers(SimHouse& house) {
  house.on_dial = [](Upstream& up) { lives(up.peer); };
  Client& client = come(house);
  exchange(house, client);
  const auto next = [&house] {
    house.run();
    house.advance(1s);
  };
  if (house.dials() > 0) house.last().wire.reset();
  next();
  const std::string frame = frame_octets(0x82, std::string(100, 'u'), true);
  client.wire.send(frame.substr(0, 50));
  house.run();
  if (house.dials() > 0) house.last().wire.finish();
  next();
  client.wire.send(frame.substr(50));
  house.run();
  if (house.dials() > 0) house.last().peer.close(1012);
  next();
  client.peer.close(1000);
  house.run();
}

void loses_tcp_servers(SimHouse& house) {
  house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
  Client& client = come(house);
  client.peer.text("a line");
  if (house.dials() > 0) house.last().wire.send("an answer\n");
  house.run();
  if (house.dials() > 0) house.last().wire.finish();
  house.run();
  house.advance(1s);
  client.peer.send(0x01, "half of ");
  house.run();
  if (house.dials() > 0) house.last().wire.finish();
  house.run();
  house.advance(1s);
  client.peer.send(0x80, "a line");
  client.peer.close(1000);
  house.run();
  if (house.dials() > 0) house.last().wire.finish();
  house.run();
}

const std::vector<Conversation>& conversations() {
  static const std::vector<Conversation> all = {
      {"ClientCloses", one_ws, client_closes},
      {"UpstreamCloses", one_ws, upstream_closes},
      {"NarrowWindows", one_ws, narrow},
      {"NarrowWindowsLikeTls", one_ws, narrow_like_tls},
      {"TwoCandidates", two_ws, client_closes},
      {"TcpBridge", tcp, tcp_bridge},
      {"TcpEnds", tcp, tcp_ends},
      {"Refused", one_ws, refused},
      {"ManyLegs", spread, many_legs},
      {"ManyLegsUpstreamCloses", spread, upstream_closes},
      {"ManyLegsNarrowWindows", spread, narrow},
      {"Drained", one_ws, drained},
      {"DrainedManyLegs", spread, drained},
      {"DrainedTcp", tcp, [](SimHouse& house) {
         house.on_dial = [](Upstream& up) { up.peer.raw_only = true; };
         Client& client = come(house);
         house.drain_all();
         client.peer.binary("on its way");
         house.run();
       }},
      {"Delayed", delayed, waits},
      {"ShortLived", short_lived, waits},
      {"SmallPieces", one_ws, octet_by_octet},
      {"ClientHangsUp", one_ws, client_hangs_up},
      {"Survives", holding, loses_servers},
      {"SurvivesNarrowWindows", holding, narrow},
      {"SurvivesNarrowWindowsLikeTls", holding, narrow_like_tls},
      {"SurvivesWithLosses", dropping, loses_servers},
      {"SurvivesManyLegs", spread_holding, loses_servers},
      {"SurvivesManyLegsWithLosses", spread_dropping, loses_servers},
      {"SurvivesManyLegsNarrowWindows", spread_holding, narrow},
      {"SurvivesManyLegsNarrowWindowsLikeTls", spread_holding, narrow_like_tls},
      {"SurvivesToAll", to_all_holding, loses_servers},
      {"SurvivesToAllNarrowWindows", to_all_holding, narrow},
      {"SurvivesToAllNarrowWindowsLikeTls", to_all_holding, narrow_like_tls},
      {"SurvivesTcpServers", lines_holding, loses_tcp_servers},
  };
  return all;
}

void expect_nothing_left(SimHouse& house) {
  EXPECT_EQ(house.alive(), 0u);
  EXPECT_EQ(house.pool().lent(), 0u);
  EXPECT_EQ(house.admitted(), 0u);
  EXPECT_EQ(house.worker_tally().handshaking.get(), 0);
  EXPECT_EQ(house.listener_tally().all_connections(), 0);
  EXPECT_EQ(house.route_tally().connections.get(), 0);
  for (const auto& server : house.runtime().snapshot->clusters()[0]->servers()) EXPECT_EQ(server->active.load(), 0u);
  for (std::size_t i = 0; i < house.dials(); ++i) EXPECT_TRUE(house.upstream(i).wire.closed);
  bool granted = false;
  const auto key = *net::Address::parse("192.0.2.7", 1);
  const auto permit = house.limiter().acquire(key.octets(), house.clock.now(), granted);
  EXPECT_TRUE(granted);
}

// Returns how many operations there were.
std::size_t run_once(const Conversation& conversation, Faults::Kind kind, std::size_t at) {
  SimHouse house(conversation.settings());
  house.faults.kind = kind;
  house.faults.at = at;
  conversation.talk(house);
  house.advance(6s);
  // By now it has ended, or both ends live and know of nothing: then the client goes.
  house.hang_up();
  house.run();
  house.advance(8s);
  const std::size_t count = house.faults.count;
  expect_nothing_left(house);
  return count;
}

class Failing : public testing::TestWithParam<Conversation> {};

TEST_P(Failing, AnywhereLeavesNothingBehind) {
  const std::size_t operations = run_once(GetParam(), Faults::Kind::none, 0);
  ASSERT_GT(operations, 5u);
  for (const Faults::Kind kind : {Faults::Kind::error, Faults::Kind::end, Faults::Kind::block}) {
    for (std::size_t at = 1; at <= operations; ++at) {
      SCOPED_TRACE("operation " + std::to_string(at) + " of " + std::to_string(operations) + ", kind " +
                   std::to_string(static_cast<int>(kind)));
      run_once(GetParam(), kind, at);
      if (HasFailure()) return;
    }
  }
}

// A block that passes is no failure: the conversation comes to what it comes to without.
TEST_P(Failing, ByBlockingOnceChangesNothingThatIsDelivered) {
  const auto delivered = [](std::size_t at) {
    SimHouse house(GetParam().settings());
    house.faults.kind = at == 0 ? Faults::Kind::none : Faults::Kind::block;
    house.faults.at = at;
    GetParam().talk(house);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < house.dials(); ++i) {
      for (const std::string& message : house.upstream(i).peer.messages()) all.push_back(message);
      all.push_back(house.upstream(i).peer.raw);
    }
    std::sort(all.begin(), all.end());
    return std::pair(all, house.faults.count);
  };
  const auto [clean, operations] = delivered(0);
  for (std::size_t at = 1; at <= operations; ++at) {
    ASSERT_EQ(delivered(at).first, clean) << "operation " << at;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Failing, testing::ValuesIn(conversations()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::test
