// Credentials: what the carriers of an [auth] hold never goes upstream, nothing else is taken out, and log lines do not show
// it. Input: lines "A<value>" (Authorization), "C<value>" (Cookie), "Q<value>" (query) or "P<value>" (one subprotocol).
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/path.h"
#include "policy/authenticator.h"

using namespace sluice;
using namespace sluice::policy;

namespace {

using Kind = Carrier::Kind;

constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";

struct House {
  House() {
    settings.jwt.algorithms = {net::JwsAlgorithm::hs256};
    settings.jwt.secret = kSecret;
    settings.from = {{Kind::header, "Authorization"},
                     {Kind::query, "access_token"},
                     {Kind::subprotocol, "bearer"},
                     {Kind::cookie, "session"}};
    std::string why;
    jwt = Jwt::make(context, settings.jwt, why);
    check(jwt != nullptr, "the settings of the fuzz target");
    const auto minted = mint(context, net::JwsAlgorithm::hs256, kSecret, "", R"({"sub":"u","exp":2000000000})", why);
    check(minted.has_value(), "the token of the fuzz target");
    token = *minted;
  }

  net::CryptoContext context;
  AuthSettings settings;
  std::unique_ptr<Jwt> jwt;
  std::string token;
};

// "@" stands for a good token, so that the fuzzer need not find one.
std::string with_token(std::string_view text, const std::string& token) {
  std::string out;
  for (const char c : text) c == '@' ? out += token : out += c;
  return out;
}

// Names of the cookies in a line, as a lenient backend sees them.
std::vector<std::string> cookie_names(std::string_view line) {
  std::vector<std::string> names;
  while (!line.empty()) {
    std::string_view pair = line.substr(0, line.find(';'));
    line.remove_prefix(std::min(pair.size() + 1, line.size()));
    pair = pair.substr(0, pair.find('='));
    const std::size_t first = pair.find_first_not_of(" \t");
    if (first == std::string_view::npos) continue;
    names.emplace_back(pair.substr(first, pair.find_last_not_of(" \t") + 1 - first));
  }
  return names;
}

void check_scrubbed(const House& house, const http::Request& request, const std::vector<std::string_view>& offer) {
  const Scrubbed scrubbed = scrub(house.settings.from, request, offer);
  check(std::ranges::find(scrubbed.dropped_fields, "Authorization") != scrubbed.dropped_fields.end(), "Authorization passes");
  std::vector<std::string> before;
  for (const http::Field& field : request.head->fields) {
    if (field.name != "Cookie") continue;
    for (std::string& name : cookie_names(field.value)) {
      if (name != "session") before.push_back(std::move(name));
    }
  }
  check(cookie_names(scrubbed.cookie) == before, "the session's cookie passes, or another one does not");
  check(http::query_value(scrubbed.query, "access_token").count == 0, "the token's parameter passes");
  if (!scrubbed.query_changed) check(scrubbed.query == request.target.query, "another query");
  check(std::ranges::find(scrubbed.subprotocols, "bearer") == scrubbed.subprotocols.end(), "the marker passes");
  for (std::size_t i = 0; i + 1 < offer.size(); ++i) {
    if (offer[i] == "bearer" && offer[i + 1] == house.token) {
      check(std::ranges::find(scrubbed.subprotocols, house.token) == scrubbed.subprotocols.end(), "the token passes");
    }
  }
}

void check_accepted(const House& house, const http::Request& request, const std::vector<std::string_view>& offer) {
  const Authenticator authenticator({{&house.settings, house.jwt.get()}});
  const auto result = authenticator.check(request, offer, WallTime(std::chrono::seconds(1'900'000'000)));
  if (!result) return;
  check(result->identity.subject == "u" && result->carrier != nullptr, "somebody else came in");
  if (result->carrier->kind == Kind::cookie) {
    check(request.head->find("Origin") != nullptr, "a cookie without an Origin came in");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const House house;
  const std::string text = with_token(as_text(Bytes(data, size)), house.token);
  std::string_view rest = text;
  http::Head head;
  http::Request request;
  request.head = &head;
  std::vector<std::string_view> offer;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.empty()) continue;
    const std::string_view value = line.substr(1);
    if (line[0] == 'A') head.fields.push_back({"Authorization", value});
    if (line[0] == 'C') head.fields.push_back({"Cookie", value});
    if (line[0] == 'O') head.fields.push_back({"Origin", value});
    // As the handshake hands them over: none twice, none empty.
    if (line[0] == 'P' && !value.empty() && std::ranges::find(offer, value) == offer.end()) offer.push_back(value);
    if (line[0] != 'Q') continue;
    // Only what the canonicaliser lets through reaches a carrier.
    if (auto target = http::canonical_target("/?" + std::string(value))) request.target = std::move(*target);
  }
  check_scrubbed(house, request, offer);
  check_accepted(house, request, offer);
  const std::string shown = redact_query(request.target.query, house.settings.from);
  const http::QueryValue redacted = http::query_value(shown, "access_token");
  if (redacted.count > 0 && shown.find(';') == std::string::npos) {
    check(redacted.value == "[redacted]" || redacted.value.empty(), "a log line shows the token");
  }
  return 0;
}
