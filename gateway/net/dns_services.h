// Reads the answer to a question for SRV records (RFC 1035 §4.1, RFC 2782). Sans I/O; rejects a message as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace sluice::net {

struct Service {
  std::string target;  // a host name without its last dot
  std::uint16_t port = 0;
  std::uint16_t priority = 0;  // the lowest first
  std::uint16_t weight = 0;
  friend bool operator==(const Service&, const Service&) = default;
};

struct Services {
  std::vector<Service> records;  // by priority; of more than 64 those of the lowest priorities. Without the target "."
  std::uint32_t ttl = 0;         // seconds; smallest of the records and the aliases that led to them
};

// nullopt: not a DNS message, or with a target that is no host name.
std::optional<Services> read_services(Bytes message);

}  // namespace sluice::net
