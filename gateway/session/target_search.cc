#include "session/target_search.h"

#include "session/opening.h"
#include "upstream/hash_key.h"

namespace sluice::session {

namespace {

using From = upstream::TargetSettings::From;

std::unexpected<Error> denied(const char* why) { return fail(Errc::target_denied, Side::client, why); }

// What the client says, before it is a server or the name of one.
std::optional<std::string> word_of(const upstream::TargetSettings& settings, const Opening& opening) {
  const http::Target& asked = opening.request.target;
  switch (settings.from) {
    case From::claim: {
      bool bad = false;
      auto claim = opening.authenticated.identity.claim_text(settings.name, bad);
      return bad ? std::nullopt : claim;
    }
    case From::query: {
      http::QueryValue value = http::query_value(asked.query, settings.name);
      if (value.count != 1) return std::nullopt;
      return std::move(value.value);
    }
    case From::path: return std::string(upstream::path_segment(asked.path, settings.segment));
  }
  return std::nullopt;
}

}  // namespace

TargetSearch::TargetSearch(House& house, net::Ready& ready, const upstream::TargetRules& rules, const Opening& opening)
    : house_(house), ready_(ready), rules_(rules) {
  if (const Result<void> found = find(opening); !found) denied_ = found.error();
}

Result<void> TargetSearch::find(const Opening& opening) {
  const upstream::TargetSettings& settings = rules_.settings();
  const auto word = word_of(settings, opening);
  if (!word || word->empty()) return denied("no target is named");
  if (settings.mapped) {
    const auto known = settings.map.find(*word);
    if (known == settings.map.end()) return denied("a target that is not in the map");
    target_ = known->second;
  } else {
    auto target = upstream::Target::parse(*word);
    if (!target) return denied("no HOST:PORT");
    target_ = std::move(*target);
  }
  if (!rules_.may_name(target_)) return denied("a target that is not allowed");
  return {};
}

Result<bool> TargetSearch::advance() {
  if (denied_) return fail(*denied_);
  if (!addresses_.empty()) return true;
  if (target_.literal) return judge({*net::Address::parse(target_.host, target_.port)});
  if (!lookup_) lookup_ = std::make_unique<NameLookup>(house_, ready_, target_.host);
  const std::vector<net::Address>* const found = lookup_->addresses();
  if (!found) return false;
  return judge(*found);
}

// Each address by itself: those that may not be connected to are left out, and with none left it is a refusal.
Result<bool> TargetSearch::judge(const std::vector<net::Address>& found) {
  if (found.empty()) return fail(Errc::no_backend, Side::upstream, "the target's name has no address");
  for (net::Address address : found) {
    address.set_port(target_.port);
    if (rules_.may_connect(target_, address)) addresses_.push_back(address);
  }
  if (addresses_.empty()) return denied("the target's address is not allowed");
  return true;
}

}  // namespace sluice::session
