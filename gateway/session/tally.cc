#include "session/tally.h"

#include <algorithm>

namespace sluice::session {

std::size_t close_label(std::uint16_t code) {
  if (code >= 1000 && code <= 1015) return code - 1000u;
  if (code >= 3000 && code <= 3999) return 16;
  if (code >= 4000 && code <= 4999) return 17;
  return 18;
}

std::string_view close_label_name(std::size_t index) {
  constexpr std::string_view kNames[kCloseLabels] = {"1000", "1001", "1002", "1003", "1004", "1005", "1006",
                                                     "1007", "1008", "1009", "1010", "1011", "1012", "1013",
                                                     "1014", "1015", "3xxx", "4xxx", "other"};
  return kNames[index];
}

std::int64_t ListenerTally::all_connections() const {
  std::int64_t sum = 0;
  for (const Gauge& gauge : connections) sum += gauge.get();
  return sum;
}

void RequestTally::count(std::string_view method, int status, std::size_t octets, Duration took) {
  static_assert(std::ranges::is_sorted(kStatuses));
  const auto known_method = std::ranges::find(kMethods, method);
  const auto at = known_method == kMethods.end() ? kMethods.size() - 1
                                                 : static_cast<std::size_t>(known_method - kMethods.begin());
  const auto known_status = std::ranges::lower_bound(kStatuses, status);
  const bool known = known_status != kStatuses.end() && *known_status == status;
  answered_[at][known ? static_cast<std::size_t>(known_status - kStatuses.begin()) : kStatuses.size()].add();
  octets_.add(octets);
  seconds_.observe(std::chrono::duration<double>(took).count());
}

}  // namespace sluice::session
