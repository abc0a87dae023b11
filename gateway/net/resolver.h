// Resolver: names to addresses by c-ares on the main loop (never on a worker). /etc/hosts, A and AAAA, TTL. Literals are
// answered without asking anyone, and so is localhost (RFC 6761 §6.3). A changed /etc/resolv.conf is seen.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "event/loop.h"
#include "net/address.h"

namespace sluice::net {

class Resolver {
 public:
  // `servers`: "address:port, ..." to ask instead of those of /etc/resolv.conf.
  explicit Resolver(event::Loop& loop, const std::string& servers = "");
  ~Resolver();  // outstanding queries are cancelled; their callbacks are not called

  struct Answer {
    std::vector<Address> addresses;  // empty: the name did not resolve; at most 64
    Duration ttl{};                  // smallest of the records, clamped to 5-300 s
    std::string error;               // why, when empty
  };
  // Calls back on this loop, at once for literals.
  void resolve(const std::string& host, std::uint16_t port, std::move_only_function<void(Answer)> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
