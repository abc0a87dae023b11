// SharedRevocations: what gateways tell each other of revocations through Redis. What is done here is written there and published;
// what others publish is done here. Whoever was away reads all of it when it is back, and adds what it knows and Redis does not, so
// that an empty Redis is filled again. Main thread; sans I/O: commands go out by a function.
//
//     PREFIX:{v1}:rev:ID        one entry, which lives as long as it is in force:
//         + STAMP ENDS ORIGIN {…}    in force until ENDS; the JSON is that of server/revocation_text
//         - STAMP ENDS ORIGIN {…}    taken back, kept until it would have ended, so that whoever comes back hears of it
//         ! STAMP ENDS ORIGIN {…}    a kick of the moment, kept for a minute: connections from before STAMP are meant
//     PREFIX:{v1}:revocations   sorted set of the IDs by ENDS, so that catching up looks at nothing else
//     PREFIX:{v1}:news          the channel: each change as it lies under its key
//
// STAMP and ENDS are milliseconds since 1970 by the gateways' clocks. Of two that say the same the later STAMP counts, with the later
// ENDS of both. ID is a digest of what is said (policy::Revocations::id_of).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "event/loop.h"
#include "event/timer.h"
#include "policy/revocations.h"
#include "server/revoker.h"
#include "store/redis_pipeline.h"

namespace sluice::server {

class SharedRevocations final : private Revoker::Share {
 public:
  // False: it cannot be asked now, and the call has no effect.
  using Ask = std::function<bool(const std::vector<std::string>& command, store::RedisPipeline::Done done)>;

  static constexpr Duration kKickKept = std::chrono::seconds(60);
  static constexpr std::size_t kMostOwed = 10'000;  // kicks and restores that are kept while nobody can be told

  struct Tally {
    std::uint64_t sent = 0;      // that Redis took as news
    std::uint64_t received = 0;  // of other gateways
  };

  // What it is given outlives it. `origin`: random text without blanks, of this process.
  SharedRevocations(event::Loop& loop, Revoker& revoker, std::shared_ptr<const policy::Revocations> table, std::string prefix,
                    std::string origin, Ask ask);
  ~SharedRevocations();

  static std::string channel_of(const std::string& prefix) { return prefix + ":{v1}:news"; }

  // The channel is subscribed to and commands can be asked: begins to catch up.
  void up();
  void down();
  // A message of the channel.
  void came(std::string_view text);
  // Everything that others did is known.
  bool current() const { return phase_ == Phase::current; }
  const Tally& tally() const { return tally_; }
  // Told when current() has changed.
  std::function<void()> changed;

 private:
  enum class Phase : std::uint8_t { away, telling, reading, current };
  struct Said {  // what lies under a key
    char flag = '+';
    std::int64_t stamp = 0;
    std::int64_t ends = 0;
    std::string origin;
    policy::Revocation what;
  };

  void made(const policy::Revocation& what, bool lasts) override;
  void removed(const policy::Revocation& what) override;
  void owe(std::string id, Said said);
  void pay();
  void paid(std::string id, Said said, const store::RedisPipeline::Answer& answer);
  void settle();
  void read_page(std::string cursor);
  void page_came(const store::RedisPipeline::Answer& answer);
  void entry_came(const std::string& id, const store::RedisPipeline::Answer& answer);
  void page_done();
  void add_missing();
  void enter(Phase phase);
  void broken(std::string_view why);
  std::optional<Said> parse(std::string_view text) const;
  std::string key_of(const std::string& id) const { return base_ + "rev:" + id; }
  std::int64_t wall() const { return loop_.wall().time_since_epoch().count(); }

  event::Loop& loop_;
  Revoker& revoker_;
  std::shared_ptr<const policy::Revocations> table_;
  const std::string base_;
  const std::string origin_;
  Ask ask_;
  Tally tally_;
  Phase phase_ = Phase::away;
  std::deque<std::pair<std::string, Said>> owed_;
  std::size_t paying_ = 0;   // that wait for their reply
  std::uint64_t round_ = 0;  // of up() and down(): replies of an earlier one say nothing
  std::string cursor_;       // of the next page
  std::size_t reading_ = 0;  // entries that wait for their reply
  std::vector<policy::Revocation> page_;
  struct Held {
    std::int64_t stamp;
    std::int64_t ends;
  };
  std::map<std::string, Held> held_;             // while it catches up: what is in force by Redis
  std::map<std::string, std::int64_t> removed_;  // while it catches up: what a message took back → when
  event::Timer again_;
};

}  // namespace sluice::server
