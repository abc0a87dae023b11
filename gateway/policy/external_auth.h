// ExternalAuth: [auth.NAME] with type = "external". A service of the operator's is asked who a client is, by a sub-request as
// nginx' auth_request and Traefik's ForwardAuth send it. Sans I/O: what to ask, what an answer means, and what is known
// without asking. One for each worker; session/external_check asks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/breaker.h"
#include "base/secret.h"
#include "http/client.h"
#include "http/request.h"
#include "policy/identity.h"

namespace sluice::policy {

struct ExternalSettings {
  bool tls = false;
  std::string host;       // a name or an address, without brackets
  std::uint16_t port = 0;
  std::string authority;  // what Host says
  std::string target;     // path and query of the sub-request
  std::string ca;           // PEM text; empty: the system's store
  std::string certificate;  // PEM text of a client certificate, and its key
  Secret key;
  std::string server_name;  // SNI and verified name; empty: the host
  Duration timeout = std::chrono::seconds(2);  // of all of it, the name's look-up included
  std::vector<std::string> request_headers;    // of the client's fields, those that go along
  std::vector<std::string> response_headers;   // of a yes, those that go to the backend, each at most once
  std::vector<std::string> refusal_headers;    // of a no, those that go to the client
  std::string subject_header;                  // of a yes: who it is; empty: not said
  BreakerSettings breaker{.enabled = true, .failures = 5, .percent = 0, .open = std::chrono::seconds(5), .probes = 1};
  Duration recheck{};  // how often it is asked about live connections; 0: never
  std::uint32_t most = 1000;                   // sub-requests under way at a time
};

class ExternalAuth {
 public:
  static constexpr std::size_t kMaxBody = 8 * 1024;  // octets of an answer's body
  static constexpr std::size_t kMaxKnown = 10'000;   // answers that are kept

  struct Yes {
    Identity identity;
    std::vector<std::pair<std::string, std::string>> fields;  // for the backend
  };
  // 401 or 403, which goes on to the client.
  struct No {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body;
  };
  struct Answer {
    std::optional<Yes> yes;
    std::optional<No> no;
  };

  explicit ExternalAuth(ExternalSettings settings) : settings_(std::move(settings)) {}
  ExternalAuth(const ExternalAuth&) = delete;
  ExternalAuth& operator=(const ExternalAuth&) = delete;

  const ExternalSettings& settings() const { return settings_; }

  // The sub-request, without addresses: GET, X-Forwarded-Method, -Proto, -Host, -Uri and -For, X-Original-Method and
  // -URI, X-Real-IP, X-Request-Id, and the client's fields that are listed. Of a WebSocket handshake without Origin no
  // Cookie goes along, as with every other method. Errors: dup_token for a listed field that comes twice.
  Result<http::ClientRequest> question(const http::Request& request) const;

  // What all of the question but its id comes to: the name of an answer that may be kept.
  static std::string key_of(const http::ClientRequest& question);
  // A yes that was given to the same question and still holds. Dies with the next call of remember().
  const Yes* known(const std::string& key, Instant now) const;

  // Whether a sub-request may begin; then ended() is due, whatever becomes of it. Errors: auth_unavailable.
  Result<void> begin(Instant now);
  // `served`: an answer came that says yes or no.
  void ended(bool served, Instant now);
  // It was given up before it could answer.
  void abandoned() { --under_way_; }
  std::uint32_t under_way() const { return under_way_; }

  // 2xx is a yes, 401 and 403 are a no. Errors: auth_unavailable for any other status, and for a listed field that comes
  // twice or, as subject, holds anything but visible ASCII.
  Result<Answer> judge(const http::ClientAnswer& answer) const;
  // What a no comes to for the client: auth_denied or auth_forbidden.
  static Error refusal(const No& no);
  // Keeps a yes for as long as its sender says (http/freshness.h), a day at most; not at all when it does not say.
  void remember(const std::string& key, const http::ClientAnswer& answer, const Yes& yes, Instant now);

 private:
  struct Known {
    Yes yes;
    Instant until{};
  };
  ExternalSettings settings_;
  Breaker breaker_;
  std::uint32_t under_way_ = 0;
  std::unordered_map<std::string, Known> known_;
};

}  // namespace sluice::policy
