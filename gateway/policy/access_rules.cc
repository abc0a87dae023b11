#include "policy/access_rules.h"

#include <algorithm>

namespace sluice::policy {
namespace {

bool within(const ClaimRule& rule, const ClaimValues& claim) {
  if (claim.list || claim.items.empty() || claim.items.front().kind != Scalar::Kind::number) return false;
  const auto number = Decimal::parse(claim.items.front().text);
  return number && (!rule.least || *number >= *rule.least) && (!rule.most || *number <= *rule.most);
}

// Words between spaces (RFC 6749 §3.3), of each text of the claim.
bool names_scope(const ClaimValues& claim, std::string_view scope) {
  return std::ranges::any_of(claim.items, [&](const Scalar& item) {
    if (item.kind != Scalar::Kind::text) return false;
    std::string_view words = item.text;
    while (!words.empty()) {
      const std::size_t end = std::min(words.find(' '), words.size());
      if (words.substr(0, end) == scope) return true;
      words.remove_prefix(std::min(end + 1, words.size()));
    }
    return false;
  });
}

bool has_scopes(const std::vector<std::string>& scopes, const Identity& identity) {
  static const JsonPointer kScope = *JsonPointer::parse("/scope");
  static const JsonPointer kScp = *JsonPointer::parse("/scp");
  if (scopes.empty()) return true;
  const ClaimValues scope = claim_values(identity, kScope);
  const ClaimValues scp = claim_values(identity, kScp);
  return std::ranges::all_of(scopes, [&](const std::string& one) { return names_scope(scope, one) || names_scope(scp, one); });
}

bool comes_from(const std::vector<net::Cidr>& blocks, const net::Address& client) {
  return blocks.empty() || std::ranges::any_of(blocks, [&](const net::Cidr& block) { return block.contains(client); });
}

bool has_origin(const std::vector<OriginPattern>& origins, const http::Head& head) {
  return origins.empty() || (head.find("Origin") && check_origin(head, origins, false));
}

bool speaks(const std::vector<std::string>& subprotocols, const std::vector<std::string_view>* offer) {
  if (subprotocols.empty()) return true;
  return offer && !offer->empty() && std::ranges::all_of(*offer, [&](std::string_view one) {
    return std::ranges::find(subprotocols, one) != subprotocols.end();
  });
}

std::optional<AccessPart> denied(const AccessRule& rule, const AccessQuestion& question) {
  if (!rule.auths.empty() && std::ranges::find(rule.auths, question.auth) == rule.auths.end()) return AccessPart::auth;
  if (const http::Request* const request = question.request) {
    if (!comes_from(rule.cidr, request->client)) return AccessPart::cidr;
    if (!has_origin(rule.origins, *request->head)) return AccessPart::origin;
    if (!speaks(rule.subprotocols, question.subprotocols)) return AccessPart::subprotocol;
  }
  if (rule.claim && !rule.claim->holds(question.identity)) return AccessPart::claim;
  if (!has_scopes(rule.scopes, question.identity)) return AccessPart::scope;
  return std::nullopt;
}

}  // namespace

bool ClaimRule::holds(const Identity& identity) const {
  const ClaimValues found = claim_values(identity, claim);
  if (!found.present) return false;
  const auto has = [&](const Scalar& value) { return found.has(value); };
  switch (test) {
    case Test::present: return true;
    case Test::equals: return !found.list && has(values.front());
    case Test::contains: return found.list && has(values.front());
    case Test::any_of: return std::ranges::any_of(values, has);
    case Test::all_of: return found.list && std::ranges::all_of(values, has);
    case Test::range: return within(*this, found);
  }
  return false;
}

std::optional<AccessPart> denied(const std::vector<PathBinding>& bindings, const std::vector<AccessRule>& rules,
                                 const AccessQuestion& question) {
  if (!bound(bindings, question.path, question.identity)) return AccessPart::path;
  for (const AccessRule& rule : rules) {
    if (const auto part = denied(rule, question)) return part;
  }
  return std::nullopt;
}

}  // namespace sluice::policy
