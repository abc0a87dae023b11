#include <array>
#include <string_view>

#include "server/metrics_parts.h"

namespace sluice::server {

namespace {

using session::ListenerTally;
using session::WorkerTally;

// Label `reason` of sluice_connections_rejected_total.
constexpr std::array<std::string_view, 5> kRejections{"limit", "rate", "emfile", "draining", "other"};

std::size_t rejection(Errc code) {
  switch (code) {
    case Errc::max_connections:
    case Errc::handshakes_full: return 0;
    case Errc::rl_ip:
    case Errc::rl_user:
    case Errc::rl_route:
    case Errc::rl_listener:
    case Errc::rl_connection: return 1;
    case Errc::fd_limit: return 2;
    case Errc::draining: return 3;
    default: return 4;
  }
}

void add_rejections(Families::Family& family, const Named<ListenerTally>& listener) {
  std::array<std::uint64_t, kRejections.size()> sums{};
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    sums[rejection(static_cast<Errc>(i))] +=
        sum_of(listener.copies, [i](const ListenerTally& t) -> auto& { return t.rejected[i]; });
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const Labels labels{{"listener", listener.name}, {"reason", kRejections[i]}};
    if (i == 0) {
      family.add(labels, sums[i]);  // always there, so that the family is
    } else {
      family.add_used(labels, sums[i]);
    }
  }
}

void add_handshakes(Families::Family& family, const Named<ListenerTally>& listener) {
  for (std::size_t version = 0; version < 2; ++version) {
    for (std::size_t resumed = 0; resumed < 2; ++resumed) {
      family.add(
          {{"listener", listener.name},
           {"version", version ? "1.3" : "1.2"},
           {"resumed", resumed ? "true" : "false"},
           {"result", "ok"}},
          sum_of(listener.copies, [&](const ListenerTally& t) -> auto& { return t.tls[version][resumed]; }));
    }
  }
  // A failure may come before there is a version to speak of.
  family.add({{"listener", listener.name}, {"version", "none"}, {"resumed", "false"}, {"result", "failed"}},
             sum_of(listener.copies, [](const ListenerTally& t) -> auto& { return t.tls_failed; }));
}

}  // namespace

void add_listeners(Families& out, const Tallies& tallies) {
  auto connections = out.gauge("sluice_connections", "Client connections now.");
  auto accepted = out.counter("sluice_connections_total", "Client connections that were accepted.");
  auto rejected =
      out.counter("sluice_connections_rejected_total", "Client connections closed before any request.");
  auto handshakes = out.counter("sluice_tls_handshakes_total", "TLS handshakes of clients.");
  auto seconds =
      out.histogram("sluice_tls_handshake_duration_seconds", "Duration of complete TLS handshakes.");
  auto octets = out.counter("sluice_tcp_bytes_total", "Octets of plain TCP connections.");
  for (const Named<ListenerTally>& listener : tallies.listeners()) {
    const Labels name{{"listener", listener.name}};
    for (const bool out_of : {false, true}) {
      octets.add_used({{"listener", listener.name}, {"direction", out_of ? "out" : "in"}},
                      sum_of(listener.copies, [=](const ListenerTally& t) -> auto& { return t.raw_octets[out_of]; }));
    }
    for (std::size_t i = 0; i < session::kProtocolNames.size(); ++i) {
      connections.add({{"listener", listener.name}, {"protocol", session::kProtocolNames[i]}},
                      sum_of(listener.copies, [i](const ListenerTally& t) -> auto& { return t.connections[i]; }));
    }
    accepted.add(name, sum_of(listener.copies, [](const ListenerTally& t) -> auto& { return t.accepted; }));
    add_rejections(rejected, listener);
    add_handshakes(handshakes, listener);
    seconds.add(name, histogram_of<14>(listener.copies,
                                       [](const ListenerTally& t) -> auto& { return t.tls_seconds; }));
  }
}

void add_workers(Families& out, const Tallies& tallies) {
  const std::vector<const WorkerTally*> all = tallies.workers();
  const auto rejected = [&](std::size_t i) {
    return sum_of(all, [i](const WorkerTally& t) -> auto& { return t.rejects[i]; });
  };
  auto rejects = out.counter("sluice_rejects_total", "Connections, handshakes and sessions that were refused or ended by the gateway.");
  for (std::size_t i = 1; i < kErrcCount; ++i) {
    const ErrorRow& error = row(static_cast<Errc>(i));
    rejects.add_used({{"stage", name(error.stage)}, {"reason", error.name}}, rejected(i));
  }
  auto auth = out.counter("sluice_auth_total", "Credentials that were judged.");
  auto auth_seconds = out.histogram("sluice_auth_duration_seconds", "Time that judging a credential took.");
  const auto& methods = policy::AuthSettings::kTypeNames;
  for (std::size_t m = 0; m < methods.size(); ++m) {
    for (std::size_t i = 0; i < kErrcCount; ++i) {
      const auto count = sum_of(all, [=](const WorkerTally& t) -> auto& { return t.auth[m].results[i]; });
      if (i == 0) {
        auth.add({{"method", methods[m]}, {"result", "ok"}, {"reason", "none"}}, count);
      } else {
        auth.add_used({{"method", methods[m]}, {"result", "refused"}, {"reason", row(static_cast<Errc>(i)).name}}, count);
      }
    }
    auth_seconds.add({{"method", methods[m]}},
                     histogram_of<14>(all, [m](const WorkerTally& t) -> auto& { return t.auth[m].seconds; }));
  }
  out.counter("sluice_token_cache_hits_total", "Tokens that had been found good before, so that no signature was checked.")
      .add({}, sum_of(all, [](const WorkerTally& t) -> auto& { return t.token_cache_hits; }));
  auto tickets = out.counter("sluice_tickets_total", "One-time tickets, by what became of them.");
  for (std::size_t i = 0; i < WorkerTally::kTicketNames.size(); ++i) {
    tickets.add({{"result", WorkerTally::kTicketNames[i]}},
                sum_of(all, [i](const WorkerTally& t) -> auto& { return t.tickets[i]; }));
  }
  auto logouts = out.counter("sluice_logout_total", "Logout tokens, by what became of them.");
  for (std::size_t i = 0; i < WorkerTally::kLogoutNames.size(); ++i) {
    logouts.add({{"result", WorkerTally::kLogoutNames[i]}},
                sum_of(all, [i](const WorkerTally& t) -> auto& { return t.logouts[i]; }));
  }
  auto refreshes = out.counter("sluice_auth_refresh_total", "Fresh credentials that were brought for live connections.");
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const auto count = sum_of(all, [i](const WorkerTally& t) -> auto& { return t.refreshes[i]; });
    if (i == 0) {
      refreshes.add({{"result", "ok"}, {"reason", "none"}}, count);
    } else {
      refreshes.add_used({{"result", "refused"}, {"reason", row(static_cast<Errc>(i)).name}}, count);
    }
  }
  auto revoked = out.counter("sluice_revoked_connections_total",
                             "Connections that were closed because somebody was revoked, by what it was revoked by.");
  for (std::size_t i = 0; i < policy::Revocation::kKindNames.size(); ++i) {
    revoked.add({{"kind", policy::Revocation::kKindNames[i]}},
                sum_of(all, [i](const WorkerTally& t) -> auto& { return t.revoked[i]; }));
  }
  auto pings = out.histogram("sluice_ping_rtt_seconds", "Round trip of the gateway's own pings.");
  pings.add({{"side", "client"}}, histogram_of<14>(all, [](const WorkerTally& t) -> auto& { return t.ping_seconds[0]; }));
  pings.add({{"side", "backend"}}, histogram_of<14>(all, [](const WorkerTally& t) -> auto& { return t.ping_seconds[1]; }));
  out.gauge("sluice_handshaking_connections", "Client connections that are not relaying yet.")
      .add({}, sum_of(all, [](const WorkerTally& t) -> auto& { return t.handshaking; }));
  auto lag = out.histogram("sluice_event_loop_lag_seconds", "How late a worker's loop ran what was due.");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::vector<const WorkerTally*> one{all[i]};
    lag.add({{"worker", std::to_string(i)}},
            histogram_of<14>(one, [](const WorkerTally& t) -> auto& { return t.lag_seconds; }));
  }
}

}  // namespace sluice::server
