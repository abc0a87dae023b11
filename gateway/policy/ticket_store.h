// TicketStore: where the records of one-time tickets lie from their issue to their use: in this process (policy/tickets.h), or in
// a store that several gateways share. A record lies under the digest of its ticket; the ticket itself is never kept.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/crypto.h"

namespace sluice::policy {

class TicketStore {
 public:
  using Key = net::Sha256;  // of the ticket

  // A question that has no answer yet. Destroying it gives it up: its `done` is not called any more. It dies before its store.
  class Question {
   public:
    virtual ~Question() = default;
  };
  using Kept = std::move_only_function<void(Result<void>)>;
  using Taken = std::move_only_function<void(Result<std::optional<std::string>>)>;

  // Both call `done` once, on the thread that asks: either before they return, and then return null, or later, as long as what
  // they return lives. They may not answer for any length of time: whoever asks has a deadline of its own. `done` may destroy
  // the question. Errors: auth_unavailable.

  // Keeps the record until it is taken, `ttl` at most.
  virtual std::unique_ptr<Question> put(const Key& key, std::string record, Duration ttl, Instant now, Kept done) = 0;
  // Takes it away: of all who ask for the same one, in whatever process, one gets it. nullopt: there is none (any more).
  virtual std::unique_ptr<Question> take(const Key& key, Instant now, Taken done) = 0;

 protected:
  ~TicketStore() = default;
};

}  // namespace sluice::policy
