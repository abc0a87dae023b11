// Metrics of the keys that are fetched for [auth] tables.
#include "server/metrics_parts.h"

namespace sluice::server {

void add_keys(Families& out, const std::vector<KeyFacts>& keys) {
  auto refreshes = out.counter("sluice_jwks_refresh_total", "Fetches of the keys that tokens are checked by, by how they went.");
  auto age = out.gauge("sluice_jwks_age_seconds", "How long ago the keys in use were last confirmed.");
  auto success = out.gauge("sluice_jwks_last_success_timestamp_seconds",
                           "When the keys in use were last confirmed, seconds since 1970.");
  for (const KeyFacts& one : keys) {
    for (std::size_t i = 0; i < one.refreshes.size(); ++i) {
      const Labels labels{{"auth", one.auth}, {"result", kKeyRefreshNames[i]}};
      if (i == static_cast<std::size_t>(KeyRefresh::ok)) {
        refreshes.add(labels, one.refreshes[i]);
      } else {
        refreshes.add_used(labels, one.refreshes[i]);
      }
    }
    age.add({{"auth", one.auth}}, std::chrono::duration<double>(one.age).count());
    if (one.last_success) success.add({{"auth", one.auth}}, *one.last_success);
  }
}

}  // namespace sluice::server
