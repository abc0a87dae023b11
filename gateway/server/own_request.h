// OwnRequest: one GET of the gateway's own for a URL that its configuration, or somebody whom that trusts, names. What it
// connects to is checked on the very addresses that go to connect(): networks that only the inside knows (loopback,
// private, link-local with the clouds' metadata, multicast, also behind IPv4-mapped and translated addresses) are refused
// unless they are allowed, so that neither a name that changes its answer nor a foreign document reaches them. One deadline over
// name, connect and answer; no redirects, no second try. On the main loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/timer.h"
#include "http/client.h"
#include "http/url.h"
#include "net/resolver.h"

namespace sluice::server {

// Whether an address may be connected to: it lies in no denied network (upstream/target_rules), or in one of `allow` that
// lies within that. Without TLS only what is allowed by name of its network may be.
bool may_reach(const net::Address& address, bool secure, const std::vector<net::Cidr>& allow);

struct OwnRequestSettings {
  http::Url url;
  std::vector<std::pair<std::string, std::string>> fields;  // besides Host, Connection and User-Agent
  std::shared_ptr<const net::TlsClient> tls;                // for https
  std::vector<net::Cidr> allow;
  std::size_t max_body = 64 * 1024;
  Duration timeout = std::chrono::seconds(5);
};

class OwnRequest {
 public:
  enum class Fault : std::uint8_t { dns, denied, connect, tls, timeout, bad_answer };
  struct Failure {
    Fault fault;
    std::string why;  // for the log
  };
  using Done = std::move_only_function<void(std::expected<http::ClientAnswer, Failure>)>;

  // `done` is called once, never from inside the constructor; it may retire this (Loop::retire), which is what is calling.
  // Destroying it earlier gives the request up without a call.
  OwnRequest(const net::Place& place, net::Resolver& resolver, OwnRequestSettings settings, Done done);
  ~OwnRequest();
  OwnRequest(const OwnRequest&) = delete;
  OwnRequest& operator=(const OwnRequest&) = delete;

 private:
  void resolved(net::Resolver::Answer answer);
  void send(std::vector<net::Address> addresses);
  void answered(Result<http::ClientAnswer> answer);
  void fail(Fault fault, std::string why);

  const net::Place& place_;
  OwnRequestSettings settings_;
  Done done_;
  Instant until_;
  std::unique_ptr<http::Client> client_;
  Failure failure_;
  event::Timer end_;  // the deadline until there is a client; then what failed is told by it
  std::shared_ptr<OwnRequest*> self_;  // what an answer of the resolver holds weakly
};

}  // namespace sluice::server
