#include <array>
#include <string_view>

#include "server/metrics_parts.h"

namespace sluice::server {

namespace {

using session::RouteTally;
using Route = Named<RouteTally>;
using Routes = std::vector<Route>;

constexpr std::array<std::string_view, 2> kDirections{"in", "out"};
constexpr std::array<std::string_view, 2> kOpcodes{"text", "binary"};
constexpr std::array<std::string_view, 3> kInitiators{"client", "backend",
                                                      "gateway"};  // in the order of Side

void add_openings(Families& out, const Routes& routes) {
  auto handshakes = out.counter("sluice_handshakes_total", "WebSocket handshakes, by how they ended.");
  auto seconds = out.histogram("sluice_handshake_duration_seconds",
                               "From the complete request to the 101, backend included.");
  for (const Route& route : routes) {
    for (std::size_t i = 0; i < session::kOutcomeNames.size(); ++i) {
      const auto count = sum_of(route.copies, [i](const RouteTally& t) -> auto& { return t.handshakes[i]; });
      const Labels labels{{"route", route.name}, {"result", session::kOutcomeNames[i]}};
      if (i == 0) {
        handshakes.add(labels, count);
      } else {
        handshakes.add_used(labels, count);
      }
    }
    seconds.add({{"route", route.name}}, histogram_of<14>(route.copies, [](const RouteTally& t) -> auto& {
                  return t.handshake_seconds;
                }));
  }
}

void add_requests(Families& out, const Routes& routes) {
  using session::RequestTally;
  auto requests = out.counter("sluice_http_requests_total", "Requests that were answered without an upgrade.");
  auto octets = out.counter("sluice_http_response_bytes_total", "Octets of those answers, heads included.");
  auto seconds = out.histogram("sluice_http_request_duration_seconds", "From the wait for such a request to its answer.");
  for (const Route& route : routes) {
    for (std::size_t method = 0; method < RequestTally::kMethods.size(); ++method) {
      for (std::size_t status = 0; status <= RequestTally::kStatuses.size(); ++status) {
        const bool known = status < RequestTally::kStatuses.size();
        requests.add_used(
            {{"route", route.name},
             {"method", RequestTally::kMethods[method]},
             {"code", known ? std::to_string(RequestTally::kStatuses[status]) : "other"}},
            sum_of(route.copies, [&](const RouteTally& t) -> auto& { return t.requests.answered(method, status); }));
      }
    }
    const Labels name{{"route", route.name}};
    octets.add(name, sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.requests.octets(); }));
    seconds.add(name, histogram_of<14>(route.copies, [](const RouteTally& t) -> auto& { return t.requests.seconds(); }));
  }
}

void add_lives(Families& out, const Routes& routes) {
  auto connections = out.gauge("sluice_websocket_connections", "WebSocket connections now.");
  auto closes = out.counter("sluice_closes_total", "WebSocket connections that ended.");
  auto slow =
      out.counter("sluice_slow_consumer_closes_total", "Connections cut because nobody read what was sent.");
  auto seconds = out.histogram("sluice_connection_duration_seconds", "Life of WebSocket connections.");
  for (const Route& route : routes) {
    const Labels name{{"route", route.name}};
    connections.add(name, sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.connections; }));
    slow.add(name, sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.slow_consumers; }));
    seconds.add(
        name, histogram_of<8>(route.copies, [](const RouteTally& t) -> auto& { return t.lifetime_seconds; }));
    for (std::size_t who = 0; who < kInitiators.size(); ++who) {
      for (std::size_t code = 0; code < session::kCloseLabels; ++code) {
        closes.add_used(
            {{"route", route.name},
             {"initiator", kInitiators[who]},
             {"code", session::close_label_name(code)}},
            sum_of(route.copies, [&](const RouteTally& t) -> auto& { return t.closes[who][code]; }));
      }
    }
  }
}

void add_messages(Families& out, const Routes& routes) {
  auto messages = out.counter("sluice_messages_total", "Messages forwarded. in: from clients; out: to them.");
  auto bytes = out.counter("sluice_message_bytes_total", "Payload octets forwarded.");
  auto sizes = out.histogram("sluice_message_size_bytes", "Size of messages on the wire.");
  auto buffered = out.gauge("sluice_buffered_bytes", "Octets that wait in the gateway until they may leave.");
  auto pauses = out.counter("sluice_backpressure_pauses_total",
                            "Times that one side was left unread because the other did not read.");
  auto paused = out.counter("sluice_backpressure_paused_seconds_total", "Time that sides were left unread so.");
  for (const Route& route : routes) {
    for (std::size_t way = 0; way < kDirections.size(); ++way) {
      const auto flow = [&route, way](auto get) {
        return sum_of(route.copies, [way, get](const RouteTally& t) -> auto& { return get(t.flow[way]); });
      };
      const Labels labels{{"route", route.name}, {"direction", kDirections[way]}};
      for (std::size_t opcode = 0; opcode < kOpcodes.size(); ++opcode) {
        messages.add({{"route", route.name}, {"direction", kDirections[way]}, {"opcode", kOpcodes[opcode]}},
                     flow([opcode](const RouteTally::Flow& f) -> auto& { return f.messages[opcode]; }));
      }
      bytes.add(labels, flow([](const RouteTally::Flow& f) -> auto& { return f.bytes; }));
      buffered.add(labels, flow([](const RouteTally::Flow& f) -> auto& { return f.buffered; }));
      pauses.add(labels, flow([](const RouteTally::Flow& f) -> auto& { return f.pauses; }));
      paused.add(labels, static_cast<double>(flow([](const RouteTally::Flow& f) -> auto& { return f.paused; })) / 1e9);
      sizes.add(labels, histogram_of<8>(route.copies,
                                        [way](const RouteTally& t) -> auto& { return t.flow[way].sizes; }));
    }
  }
}

void add_survivors(Families& out, const Routes& routes) {
  auto revivals = out.counter("sluice_revivals_total", "Losses of a server on routes where the client survives them.");
  auto dropped = out.counter("sluice_messages_dropped_total",
                             "Messages that were taken from clients and reached no server, on the same routes.");
  for (const Route& route : routes) {
    for (std::size_t i = 0; i < session::kRevivedNames.size(); ++i) {
      revivals.add_used({{"route", route.name}, {"result", session::kRevivedNames[i]}},
                        sum_of(route.copies, [i](const RouteTally& t) -> auto& { return t.revivals[i]; }));
    }
    for (std::size_t i = 0; i < session::kDroppedNames.size(); ++i) {
      dropped.add_used({{"route", route.name}, {"reason", session::kDroppedNames[i]}},
                       sum_of(route.copies, [i](const RouteTally& t) -> auto& { return t.dropped[i]; }));
    }
  }
}

void add_faults(Families& out, const Routes& routes) {
  auto invalid = out.counter("sluice_frames_invalid_total", "Frames that broke the protocol or a bound.");
  auto discarded =
      out.counter("sluice_messages_discarded_total", "Messages that were received and not forwarded.");
  for (const Route& route : routes) {
    for (std::size_t i = 1; i < kErrcCount; ++i) {
      invalid.add_used({{"route", route.name}, {"reason", row(static_cast<Errc>(i)).name}},
                       sum_of(route.copies, [i](const RouteTally& t) -> auto& { return t.invalid[i]; }));
    }
    discarded.add({{"route", route.name}, {"reason", "closing"}},
                  sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.discarded_closing; }));
    discarded.add({{"route", route.name}, {"reason", "rate_limit"}},
                  sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.discarded_limit; }));
    // Only where servers race or messages are read: routes without have nothing to say of them.
    discarded.add_used({{"route", route.name}, {"reason", "race"}},
                       sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.discarded_race; }));
  }
}

void add_access(Families& out, const Routes& routes) {
  const auto denied_by = [](const Route& route, std::size_t part) {
    return sum_of(route.copies, [part](const RouteTally& t) -> auto& { return t.access_denied[part]; });
  };
  auto denied = out.counter("sluice_access_denied_total", "Requests refused by access rules, by what did not hold.");
  auto messages = out.counter("sluice_denied_messages_total", "Messages that a rule of the route denied.");
  for (const Route& route : routes) {
    for (std::size_t i = 0; i < policy::kAccessPartNames.size(); ++i) {
      denied.add_used({{"route", route.name}, {"rule", policy::kAccessPartNames[i]}}, denied_by(route, i));
    }
    for (std::size_t way = 0; way < 2; ++way) {
      for (std::size_t closed = 0; closed < 2; ++closed) {
        messages.add_used({{"route", route.name}, {"direction", kDirections[way]}, {"action", closed ? "close" : "drop"}},
                          sum_of(route.copies, [way, closed](const RouteTally& t) -> auto& { return t.denied_messages[way][closed]; }));
      }
    }
  }
}

void add_rules(Families& out, const Routes& routes, const Tallies& tallies) {
  const auto rules = tallies.rules();
  if (rules.empty()) return;
  auto messages = out.counter("sluice_message_rules_total", "Messages of clients by the rule that they went by.");
  for (const auto& rule : rules) {
    const std::size_t end = rule.name.rfind('\n');
    messages.add({{"route", rule.name.substr(0, end)}, {"rule", rule.name.substr(end + 1)}},
                 sum_of(rule.copies, [](const session::RuleTally& t) -> auto& { return t.messages; }));
  }
  auto unread = out.counter("sluice_messages_unread_total", "Messages too large for the rules that read them.");
  auto skipped = out.counter("sluice_fanout_skipped_total", "Servers that a message for all of them did not go to.");
  for (const Route& route : routes) {
    const Labels name{{"route", route.name}};
    unread.add_used(name, sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.unread; }));
    skipped.add_used(name, sum_of(route.copies, [](const RouteTally& t) -> auto& { return t.fan_skipped; }));
  }
}

}  // namespace

void add_routes(Families& out, const Tallies& tallies) {
  const Routes routes = tallies.routes();
  add_openings(out, routes);
  add_requests(out, routes);
  add_lives(out, routes);
  add_messages(out, routes);
  add_faults(out, routes);
  add_access(out, routes);
  add_survivors(out, routes);
  add_rules(out, routes, tallies);
}

}  // namespace sluice::server
