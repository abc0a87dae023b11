#include "policy/external_auth.h"

#include <algorithm>

#include "base/json.h"
#include "http/freshness.h"
#include "net/crypto.h"

namespace sluice::policy {

namespace {

constexpr Duration kMostKept = std::chrono::hours(24);

std::unexpected<Error> unusable(const char* detail) { return fail(Errc::auth_unavailable, Side::gateway, detail); }

bool is_visible(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Result<http::ClientRequest> ExternalAuth::question(const http::Request& request) const {
  http::ClientRequest out;
  out.target = settings_.target;
  out.timeout = settings_.timeout;
  out.max_body = kMaxBody;
  const std::string uri = request.target.text();
  const std::string client = request.client.ip();
  out.fields = {{"Host", settings_.authority},
                {"X-Forwarded-Method", std::string(request.head->method)},
                {"X-Forwarded-Proto", request.tls.active ? "https" : "http"},
                {"X-Forwarded-Host", request.host.text()},
                {"X-Forwarded-Uri", uri},
                {"X-Forwarded-For", client},
                {"X-Original-Method", std::string(request.head->method)},
                {"X-Original-URI", uri},
                {"X-Real-IP", client},
                {"X-Request-Id", request.id},
                {"Connection", "close"}};
  const bool cookies = request.kind == http::Request::Kind::http || request.head->find("Origin");
  for (const std::string& name : settings_.request_headers) {
    const bool cookie = http::same_name(name, "Cookie");
    if (cookie && !cookies) continue;
    // Only Cookie may be several lines (RFC 9113 §8.2.3); of anything else the service might read the other one.
    if (!cookie && request.head->count(name) > 1) {
      return fail(Errc::dup_token, Side::client, "a field for the external check comes twice");
    }
    for (const http::Field& field : request.head->fields) {
      if (http::same_name(field.name, name)) out.fields.emplace_back(name, field.value);
    }
  }
  return out;
}

std::string ExternalAuth::key_of(const http::ClientRequest& question) {
  std::string all;
  for (const auto& [name, value] : question.fields) {
    if (name == "X-Request-Id") continue;
    all.append(name).push_back('\0');
    all.append(value).push_back('\0');
  }
  const net::Sha256 digest = net::sha256(as_bytes(all));
  return std::string(as_text(digest));
}

const ExternalAuth::Yes* ExternalAuth::known(const std::string& key, Instant now) const {
  const auto found = known_.find(key);
  return found != known_.end() && now < found->second.until ? &found->second.yes : nullptr;
}

Result<void> ExternalAuth::begin(Instant now) {
  if (under_way_ >= settings_.most) return unusable("too many external checks under way");
  if (!breaker_.allow(settings_.breaker, now)) return unusable("the external check has failed too often");
  ++under_way_;
  return {};
}

void ExternalAuth::ended(bool served, Instant now) {
  --under_way_;
  breaker_.report(settings_.breaker, served, now);
}

Result<ExternalAuth::Answer> ExternalAuth::judge(const http::ClientAnswer& answer) const {
  const http::Head& head = answer.head;
  Answer out;
  if (head.status == 401 || head.status == 403) {
    No& no = out.no.emplace(No{head.status, {}, answer.body});
    for (const http::Field& field : head.fields) {
      const auto wanted = [&](const std::string& name) { return http::same_name(name, field.name); };
      if (std::ranges::any_of(settings_.refusal_headers, wanted) || http::same_name(field.name, "Content-Type")) {
        no.fields.emplace_back(field.name, field.value);
      }
    }
    return out;
  }
  if (head.status < 200 || head.status > 299) return unusable("the external check answered neither yes nor no");
  Yes& yes = out.yes.emplace();
  yes.identity.method = "external";
  JsonWriter claims;
  claims.begin_object();
  for (const std::string& name : settings_.response_headers) {
    if (head.count(name) > 1) return unusable("a field of the external check comes twice");
    const std::string_view* const value = head.find(name);
    if (!value) continue;
    yes.fields.emplace_back(name, *value);
    claims.field(name, *value);
  }
  claims.end_object();
  auto parsed = Json::parse(claims.text());
  if (!parsed) return unusable("a field of the external check is no text");
  yes.identity.claims = std::move(*parsed);
  if (!settings_.subject_header.empty()) {
    const std::string_view* const subject = head.find(settings_.subject_header);
    if (!subject || head.count(settings_.subject_header) != 1 || !is_visible(*subject)) {
      return unusable("the external check does not say who it is");
    }
    yes.identity.subject = *subject;
  }
  return out;
}

Error ExternalAuth::refusal(const No& no) {
  return {no.status == 403 ? Errc::auth_forbidden : Errc::auth_denied, Side::client, false, "the external check said no"};
}

void ExternalAuth::remember(const std::string& key, const http::ClientAnswer& answer, const Yes& yes, Instant now) {
  const Duration fresh = std::min(http::freshness(answer.head).value_or(Duration::zero()), kMostKept);
  if (fresh == Duration::zero()) return;
  if (known_.size() >= kMaxKnown) std::erase_if(known_, [now](const auto& one) { return one.second.until <= now; });
  if (known_.size() >= kMaxKnown) return;
  known_[key] = {yes, now + fresh};
}

}  // namespace sluice::policy
