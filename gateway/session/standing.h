// Standing: what a live connection keeps of the identity that it was let in with, so that it can be found by it later: the
// method, the [auth], when the credential was issued, and a mark of each claim (policy/claim_mark.h). No token, no text of a
// claim; one block of exactly its size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "policy/claim_mark.h"

namespace sluice::session {

class Standing {
 public:
  struct Free {
    void operator()(const Standing* standing) const;
  };
  using Owner = std::unique_ptr<const Standing, Free>;

  // `auth`: the name of the [auth], which outlives it. `seed`: that of the process's marks.
  static Owner of(const policy::Identity& identity, const std::string& auth, std::uint64_t seed);

  std::string_view method() const;
  const std::string& auth() const { return *auth_; }
  // `iat`, seconds since 1970; 0: not known.
  std::int64_t issued() const { return issued_; }
  bool has(policy::ClaimMark mark) const;
  // Whether the identity is of the same issuer (`iss`), or neither says who that is. `seed` as for of().
  bool same_issuer(const policy::Identity& identity, std::uint64_t seed) const;

 private:
  Standing(const std::string& auth, std::int64_t issued) : auth_(&auth), issued_(issued) {}
  // They lie behind it, the text of the method behind them.
  std::span<const policy::ClaimMark> marks() const {
    return {reinterpret_cast<const policy::ClaimMark*>(this + 1), marks_};
  }

  const std::string* auth_;
  std::int64_t issued_;
  std::uint32_t marks_ = 0;
  std::uint16_t method_ = 0;  // octets
  bool names_issuer_ = false;
};

}  // namespace sluice::session
