#include "server/shared_tickets.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "store/redis_codec.h"

namespace sluice::server {

namespace {

using store::RedisReply;

constexpr std::size_t kMostRecord = store::RedisReader::kMostOctets - 1024;

std::string key_of(const policy::TicketStore::Key& key) { return "ticket:" + to_hex(key); }

std::unexpected<Error> away() { return fail(Errc::auth_unavailable, Side::gateway, "the store of tickets is away"); }

}  // namespace

// Whoever waits, on the worker; the answer finds it there, or nobody any more.
class SharedTickets::Asked final : public Question {
 public:
  explicit Asked(Tell tell) : tell_(std::make_shared<Tell>(std::move(tell))) {}
  ~Asked() override { *tell_ = nullptr; }
  std::shared_ptr<Tell> tell() const { return tell_; }

 private:
  std::shared_ptr<Tell> tell_;  // touched by the worker alone
};

std::unique_ptr<policy::TicketStore::Question> SharedTickets::ask(std::vector<std::string> command, Tell tell) {
  auto asked = std::make_unique<Asked>(std::move(tell));
  to_main_([this, command = std::move(command), tell = asked->tell()]() mutable {
    ask_(std::move(command), [this, tell = std::move(tell)](store::RedisPipeline::Answer answer) mutable {
      to_worker_([tell = std::move(tell), answer = std::move(answer)]() mutable {
        // It may destroy the question, and with it what is being called.
        if (Tell now = std::exchange(*tell, nullptr)) now(std::move(answer));
      });
    });
  });
  return asked;
}

std::unique_ptr<policy::TicketStore::Question> SharedTickets::put(const Key& key, std::string record, Duration ttl, Instant, Kept done) {
  // What is larger than a reply may be would come back to nobody.
  if (record.size() > kMostRecord) {
    done(fail(Errc::auth_unavailable, Side::gateway, "its claims are more than a ticket keeps"));
    return nullptr;
  }
  const auto lives = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(ttl).count(), 1);
  return ask({"SET", key_of(key), std::move(record), "PX", std::to_string(lives), "NX"},
             [done = std::move(done)](store::RedisPipeline::Answer answer) mutable {
               const bool kept = answer && answer->is(RedisReply::Type::status);
               done(kept ? Result<void>() : away());
             });
}

std::unique_ptr<policy::TicketStore::Question> SharedTickets::take(const Key& key, Instant, Taken done) {
  return ask({"GETDEL", key_of(key)}, [done = std::move(done)](store::RedisPipeline::Answer answer) mutable {
    if (!answer) return done(away());
    if (answer->is(RedisReply::Type::nil)) return done(std::optional<std::string>());
    if (!answer->is(RedisReply::Type::string)) return done(away());
    done(std::optional<std::string>(std::move(answer->text)));
  });
}

}  // namespace sluice::server
