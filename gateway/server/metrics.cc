#include "server/metrics.h"

#include <algorithm>

#include "base/log.h"
#include "server/metrics_parts.h"

namespace sluice::server {

namespace {

void add_facts(Families& out, const ProcessFacts& facts, const config::Snapshot& snapshot) {
  out.gauge("sluice_build_info", "What runs; always 1.")
      .add({{"version", facts.version}, {"revision", facts.revision}, {"openssl", facts.openssl}}, 1u);
  out.gauge("sluice_start_time_seconds", "Start of the gateway, seconds since 1970.")
      .add({}, facts.start_time);
  out.gauge("sluice_workers", "Worker threads.").add({}, facts.workers);
  out.gauge("sluice_config_last_reload_successful", "Whether the last reload was taken.")
      .add({}, facts.reload_ok);
  out.gauge("sluice_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was taken, seconds since 1970.")
      .add({}, facts.reload_time);
  auto reloads = out.counter("sluice_config_reloads_total", "Reloads after the start.");
  reloads.add({{"result", "ok"}}, facts.reloads_ok);
  reloads.add({{"result", "failed"}}, facts.reloads_failed);
  auto limit = out.gauge("sluice_connections_limit",
                         "Client connections that a listener takes at most: its own limit or that of the process.");
  for (const config::ListenerSettings& listener : snapshot.settings().listeners) {
    const std::uint64_t own = listener.max_connections > 0 ? listener.max_connections : facts.connections_limit;
    limit.add({{"listener", listener.name}}, std::min(own, facts.connections_limit));
  }
  out.gauge("sluice_draining", "Whether the gateway is draining.").add({}, facts.draining);
  out.gauge("sluice_drain_remaining_connections", "Client connections that a drain still waits for.")
      .add({}, facts.draining ? facts.connections : 0);
  out.gauge("sluice_revocations", "Revocations in force.").add({}, facts.revocations);
  out.counter("sluice_log_dropped_total", "Log lines dropped because the queue was full.")
      .add({}, log::dropped());
}

}  // namespace

// What is read of a snapshot once: certificates are parsed.
void Metrics::remember(const config::Snapshot& snapshot) {
  if (generation_ == snapshot.generation()) return;
  generation_ = snapshot.generation();
  not_after_.clear();
  for (const config::ListenerSettings& listener : snapshot.settings().listeners) {
    if (!listener.tls) continue;
    for (const net::CertificateSettings& certificate : listener.tls->certificates) {
      const std::int64_t end = net::certificate_facts(certificate.certificate).not_after;
      if (end == 0) continue;
      // Two files of one name are one series: that which ends first is what matters.
      const auto [at, made] = not_after_.try_emplace(certificate.name, end);
      if (!made) at->second = std::min(at->second, end);
    }
  }
}

std::string Metrics::scrape(const ProcessFacts& facts, const config::Snapshot& snapshot, Instant now) {
  remember(snapshot);
  // The many series of routes come last: beyond the bound it is theirs that are left out.
  Families out(most_series_);
  add_facts(out, facts, snapshot);
  add_process(out);
  auto certificates = out.gauge("sluice_tls_certificate_not_after_timestamp_seconds",
                                "End of a certificate's validity, seconds since 1970.");
  for (const auto& [name, end] : not_after_) certificates.add({{"name", name}}, end);
  add_workers(out, tallies_);
  add_listeners(out, tallies_);
  add_backends(out, snapshot, now);
  add_limits(out, snapshot);
  add_keys(out, facts.keys);
  if (facts.redis) add_redis(out, *facts.redis);
  add_servers(out, tallies_, snapshot, now);
  add_names(out, snapshot, now);
  add_routes(out, tallies_);
  std::string text = out.text();
  Families last(1);
  last.gauge("sluice_series_dropped", "Series left out of this scrape because there are too many.")
      .add({}, std::uint64_t{out.dropped()});
  return text + last.text();
}

}  // namespace sluice::server
