#include "server/connection_query.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "server/percent.h"

namespace sluice::server {

namespace {

bool take_limit(const std::string& text, std::size_t& limit) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  return error == std::errc() && end == text.data() + text.size() && limit > 0 && limit <= ConnectionQuery::kMostLimit;
}

}  // namespace

std::optional<ConnectionQuery> ConnectionQuery::parse(std::string_view query) {
  ConnectionQuery out;
  bool limited = false;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = pair.substr(0, equals);
    auto value = unescape(pair.substr(equals + 1));
    if (!value || value->empty()) return std::nullopt;
    if (name == "limit") {
      if (std::exchange(limited, true) || !take_limit(*value, out.limit)) return std::nullopt;
      continue;
    }
    const std::array<std::pair<std::string_view, std::string*>, 5> known{{{"subject", &out.subject},
                                                                          {"route", &out.route},
                                                                          {"auth", &out.auth},
                                                                          {"method", &out.method},
                                                                          {"claim", &out.value}}};
    std::string* part = nullptr;
    for (const auto& [called, where] : known) {
      if (called == name) part = where;
    }
    if (!part || !part->empty()) return std::nullopt;
    *part = std::move(*value);
    if (part != &out.value) continue;
    const std::size_t colon = out.value.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == out.value.size()) return std::nullopt;
    out.claim = out.value.substr(0, colon);
    out.value.erase(0, colon + 1);
  }
  return out;
}

session::ConnectionFilter ConnectionQuery::filter(std::uint64_t seed) const {
  session::ConnectionFilter out{subject, route, auth, method, {}};
  if (!claim.empty()) out.claim = policy::claim_mark(claim, value, seed);
  return out;
}

}  // namespace sluice::server
