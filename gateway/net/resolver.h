// Resolver: names to addresses, and services to the hosts that offer them, by c-ares on the main loop (never on a worker).
// /etc/hosts, A and AAAA, SRV, TTL. Literals are answered without asking anyone, and so is localhost (RFC 6761 §6.3). A changed
// /etc/resolv.conf is seen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "event/loop.h"
#include "net/address.h"
#include "net/dns_services.h"

namespace sluice::net {

// nxdomain: there is no such name; empty: there is, without the records that were asked for; timeout: no server answered in
// time; failed: anything else (SERVFAIL, REFUSED, an answer that makes no sense).
enum class Lookup : std::uint8_t { ok, nxdomain, empty, timeout, failed };

class Resolver {
 public:
  // `servers`: "address:port,..." to ask instead of those of /etc/resolv.conf.
  explicit Resolver(event::Loop& loop, const std::string& servers = "");
  ~Resolver();  // outstanding queries are cancelled; their callbacks are not called

  struct Answer {
    std::vector<Address> addresses;  // at most 64
    std::vector<Service> services;   // at most 64, by priority
    Duration ttl{};                  // smallest of the records, clamped to 5-300 s
    Lookup result = Lookup::ok;      // not ok: there are none
    std::string error;               // why, when not ok
  };
  // Calls back on this loop, at once for literals.
  void resolve(const std::string& host, std::uint16_t port, std::move_only_function<void(Answer)> done);
  // SRV records (RFC 2782) of a name like _ws._tcp.example.com.
  void resolve_services(const std::string& name, std::move_only_function<void(Answer)> done);
  // Asks these from now on; what is outstanding is asked again there.
  void use(const std::string& servers);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
