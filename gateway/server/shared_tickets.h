// SharedTickets: the TicketStore of several gateways, as one worker sees it. Its commands go to the main thread, whose link to Redis it
// is, and the answers come back by the worker's own door. A ticket lies under PREFIX:{v1}:ticket:DIGEST for its time to live, and
// GETDEL gives it to one who asks. While Redis is away nobody gets a ticket and none is good.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "policy/ticket_store.h"
#include "store/redis_pipeline.h"

namespace sluice::server {

class SharedTickets final : public policy::TicketStore {
 public:
  using Task = std::move_only_function<void()>;
  // Runs a task on a thread, from any thread. A task that never runs is destroyed.
  using Post = std::function<void(Task)>;
  // On the main thread: a command whose second word is a key without its prefix; calls back once, there.
  using Ask = std::function<void(std::vector<std::string> command, store::RedisPipeline::Done done)>;

  // What the functions refer to outlives it, and so does it what it has posted.
  SharedTickets(Post to_main, Post to_worker, Ask ask)
      : to_main_(std::move(to_main)), to_worker_(std::move(to_worker)), ask_(std::move(ask)) {}

  std::unique_ptr<Question> put(const Key& key, std::string record, Duration ttl, Instant now, Kept done) override;
  std::unique_ptr<Question> take(const Key& key, Instant now, Taken done) override;

 private:
  class Asked;
  using Tell = std::move_only_function<void(store::RedisPipeline::Answer)>;
  std::unique_ptr<Question> ask(std::vector<std::string> command, Tell tell);

  Post to_main_;
  Post to_worker_;
  Ask ask_;
};

}  // namespace sluice::server
