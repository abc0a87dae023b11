// MessageAccess: what a message of a live connection must be so that it may pass: its kind, its size, and what stands at one
// place of it, which a claim of the client's may say. Immutable, of one route. What cannot be read is not what is asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "policy/claim_values.h"
#include "relay/framer.h"

namespace sluice::policy {

struct MessageAccess {
  enum class Action : std::uint8_t { drop, close };
  bool to_client = false;              // else of the client
  std::uint8_t opcode = 0;             // 1 text, 2 binary; 0: either
  std::uint32_t max_size = 0;          // octets; 0: any
  std::optional<JsonPointer> pointer;  // into a text message: one of the values stands there
  std::vector<Scalar> values;
  std::optional<JsonPointer> claim;    // or what this claim says, or one of its list; in place of values
  Action action = Action::close;

  // Octets that must be seen of a message to judge it. `inspect`: of one whose content is read.
  std::uint32_t wanted_of_text(std::uint32_t inspect) const;
  std::uint32_t wanted_of_binary() const;
  // `content`: the message's JSON, asked where there is a pointer; `values`: one of which must stand there.
  bool holds(const relay::Preview& message, std::optional<JsonText>& content, const std::vector<Scalar>& allowed) const;
};

}  // namespace sluice::policy
