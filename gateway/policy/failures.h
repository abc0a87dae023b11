// Failures: how often each address failed to authenticate lately, for one [auth]. Whoever has failed so many times is not
// checked again until the time since the first of them is over, right or wrong: guessing goes no faster. Shared by all workers,
// kept over reloads by the name of its [auth]; bounded; time is an argument.
#pragma once

#include <cstdint>
#include <memory>

#include "base/time.h"
#include "net/address.h"

namespace sluice::policy {

struct FailureLimit {
  std::uint64_t count = 0;  // 0: failures are not counted
  Duration per = std::chrono::minutes(1);
  friend bool operator==(const FailureLimit&, const FailureLimit&) = default;
};

class Failures {
 public:
  static constexpr std::size_t kAddresses = 100'000;  // that are remembered; beyond them the oldest is forgotten

  explicit Failures(FailureLimit limit, std::size_t addresses = kAddresses);
  ~Failures();

  // Asked before a credential is checked. Zero: go on; else how long until it may be tried again (Retry-After). An IPv4
  // address counts alone, an IPv6 one with its /64, a unix socket's clients together.
  Duration wait(const net::Address& client, Instant now) const;
  // After a check that failed. What several workers check at the same time is counted after it, so that as many more than
  // the limit may be checked.
  void count(const net::Address& client, Instant now);

  // New numbers after a reload; what was counted stays counted.
  void update(FailureLimit limit);
  std::size_t size() const;  // addresses that are remembered

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::policy
