// Tickets: the TicketStore of one process, shared by its workers and kept over reloads. It answers at once. Bounded: a full
// table takes no new tickets, so that nobody can push out those of others.
#pragma once

#include <map>
#include <mutex>
#include <unordered_map>

#include "policy/ticket_store.h"

namespace sluice::policy {

class Tickets final : public TicketStore {
 public:
  static constexpr std::size_t kMost = 100'000;
  static constexpr std::size_t kMostOctets = std::size_t{64} * 1024 * 1024;  // of all records

  explicit Tickets(std::size_t most = kMost, std::size_t octets = kMostOctets) : most_(most), octets_(octets) {}

  // From any thread. Error of put(): auth_unavailable, when the table is full.
  std::unique_ptr<Question> put(const Key& key, std::string record, Duration ttl, Instant now, Kept done) override;
  std::unique_ptr<Question> take(const Key& key, Instant now, Taken done) override;
  std::size_t size() const;

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return load_be<std::size_t>(key.data()); }
  };
  struct Entry;
  using Entries = std::unordered_map<Key, Entry, KeyHash>;
  using Ends = std::multimap<Instant, Key>;
  struct Entry {
    std::string record;
    Ends::iterator end;
  };

  void drop(Entries::iterator entry);
  bool keep(const Key& key, std::string record, Instant end, Instant now);
  std::optional<std::string> find(const Key& key, Instant now);

  const std::size_t most_;
  const std::size_t octets_;
  mutable std::mutex mutex_;
  std::size_t taken_ = 0;  // octets
  Entries entries_;
  Ends ends_;
};

}  // namespace sluice::policy
