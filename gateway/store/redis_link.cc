#include "store/redis_link.h"

#include <string.h>

#include <algorithm>
#include <utility>

#include "event/loop.h"

namespace sluice::store {

RedisLink::RedisLink(event::Loop& loop, Way way, Hooks hooks, RedisTally& tally, std::function<std::uint64_t()> random)
    : loop_(loop),
      way_(std::move(way)),
      hooks_(std::move(hooks)),
      tally_(tally),
      random_(std::move(random)),
      timer_(loop, [this] { on_time(); }),
      due_(loop, [this] { advance(); }),
      begin_(loop, [this] { advance(); }) {}

// Nobody who waits is told: they are gone, too.
RedisLink::~RedisLink() {
  connector_.reset();
  if (stream_) stream_->close();
}

void RedisLink::open() { timer_.arm(Duration::zero()); }

bool RedisLink::ask(std::span<const std::string> command, Duration timeout, Done done) {
  if (phase_ != Phase::up) return false;
  if (!pipeline_->ask(command, timeout, loop_.now(), std::move(done))) {
    tally_.count(RedisFault::full);
    return false;
  }
  begin_.arm(Duration::zero());
  return true;
}

void RedisLink::on_time() {
  switch (phase_) {
    case Phase::resting: return attempt();
    case Phase::resolving: return lose(RedisFault::dns, "no answer of the DNS in time");
    case Phase::connecting: return lose(RedisFault::connect, "no connection in time");
    case Phase::greeting: return lose(RedisFault::timeout, "no answer in time");
    case Phase::up: return beat();
  }
}

void RedisLink::beat() {
  advance();  // what has come already counts
  if (phase_ != Phase::up) return;
  timer_.arm(kBeat);
  const Instant oldest = pipeline_->oldest();
  if (oldest == kNever) {
    const std::array<std::string, 1> ping{"PING"};
    [[maybe_unused]] const bool asked = ask(ping, Duration::zero(), [](const RedisPipeline::Answer&) {});
  } else if (loop_.now() - oldest >= kStall) {
    lose(RedisFault::timeout, "it answers no more");
  }
}

void RedisLink::attempt() {
  phase_ = Phase::resolving;
  timer_.arm(kAttempt);
  self_ = std::make_shared<RedisLink*>(this);
  way_.resolve([self = std::weak_ptr(self_)](net::Resolver::Answer answer) {
    if (const auto link = self.lock()) (*link)->resolved(std::move(answer));
  });
}

void RedisLink::resolved(net::Resolver::Answer answer) {
  if (phase_ != Phase::resolving) return;
  if (answer.result != net::Lookup::ok) return lose(RedisFault::dns, std::move(answer.error));
  addresses_ = std::move(answer.addresses);
  std::ranges::reverse(addresses_);
  phase_ = Phase::connecting;
  failed_ = {};
  if (!dial_next()) return lose(RedisFault::dns, "its name has no address");
}

bool RedisLink::dial_next() {
  connector_.reset();
  if (addresses_.empty()) return false;
  connector_ = way_.dial(addresses_.back(), *this);
  addresses_.pop_back();
  begin_.arm(Duration::zero());
  return true;
}

void RedisLink::advance() {
  if (phase_ == Phase::connecting && !connect()) return;
  if (!stream_) return;
  if (!read()) return;
  if (phase_ == Phase::up) pipeline_->expire(loop_.now());
  if (!write()) return;
  plan();
}

// False: not yet, or no more.
bool RedisLink::connect() {
  const Io io = connector_->advance();
  if (io == Io::blocked) return false;
  if (io != Io::ok) {
    if (failed_.code != Errc::be_tls) failed_ = connector_->error();
    if (!dial_next()) lose(failed_.code == Errc::be_tls ? RedisFault::tls : RedisFault::connect, failed_.detail);
    return false;
  }
  stream_ = connector_->take();
  connector_.reset();
  addresses_.clear();
  greet();
  return true;
}

void RedisLink::greet() {
  phase_ = Phase::greeting;
  greetings_ = 0;
  greeting_why_.clear();
  RedisPipeline::Message message;
  if (!way_.channel.empty()) {
    message = [this](std::string_view, std::string_view payload) {
      if (phase_ == Phase::up && hooks_.message) hooks_.message(payload);
    };
  }
  pipeline_ = std::make_unique<RedisPipeline>(std::move(message), tally_.took);
  // ACL SETUSER's users since 6.0; before it, and without a name, the one password of `requirepass`.
  if (!way_.password.empty()) {
    std::vector<std::string> auth{"AUTH"};
    if (!way_.username.empty()) auth.push_back(way_.username);
    auth.emplace_back(way_.password.reveal());
    greet_with(std::move(auth));
  }
  if (way_.database != 0) greet_with({"SELECT", std::to_string(way_.database)});
  // A server that loads its data says so to a PING.
  if (way_.channel.empty()) {
    greet_with({"PING"});
  } else {
    greet_with({"SUBSCRIBE", way_.channel});
  }
}

void RedisLink::greet_with(std::vector<std::string> command) {
  ++greetings_;
  const bool asked = pipeline_->ask(command, Duration::zero(), loop_.now(),
                                    [this](const RedisPipeline::Answer& answer) { greeted(answer); });
  check(asked, "a fresh pipeline is full");
  for (std::string& word : command) ::explicit_bzero(word.data(), word.size());
}

void RedisLink::greeted(const RedisPipeline::Answer& answer) {
  --greetings_;
  if (!answer || !answer->is(RedisReply::Type::error) || !greeting_why_.empty()) return;
  const bool auth = std::ranges::any_of(std::array<std::string_view, 3>{"WRONGPASS", "NOAUTH", "NOPERM"},
                                        [&](std::string_view word) { return answer->refused_with(word); });
  // "ERR invalid password" and "ERR AUTH <password> called without any password configured", of servers and settings without users.
  const bool old = answer->text.starts_with("ERR invalid password") || answer->text.starts_with("ERR AUTH");
  greeting_fault_ = auth || old ? RedisFault::auth : RedisFault::refused;
  greeting_why_ = answer->text.substr(0, 200);
}

// False: it is lost.
bool RedisLink::read() {
  for (;;) {
    const Io io = stream_->fill();
    if (io == Io::blocked) break;
    if (io != Io::ok) {
      lose(RedisFault::lost, "the connection ended");
      return false;
    }
    const MutableBytes received = stream_->received();
    const auto taken = pipeline_->take(received, loop_.now());
    if (!greeting_why_.empty()) {
      lose(greeting_fault_, std::exchange(greeting_why_, {}));
      return false;
    }
    if (!taken) {
      lose(taken.error(), taken.error() == RedisFault::protocol ? "its answer is no RESP, or too large" : "it serves nobody now");
      return false;
    }
    stream_->consume(received.size());
  }
  stream_->settle();
  if (phase_ == Phase::greeting && greetings_ == 0) {
    phase_ = Phase::up;
    up_since_ = loop_.now();
    timer_.arm(kBeat);
    if (hooks_.up) hooks_.up();
  }
  return true;
}

bool RedisLink::write() {
  std::string& out = pipeline_->out();
  if (out.empty() && !stream_->unsent()) return true;
  const Bytes part = as_bytes(out);
  std::size_t taken = 0;
  const Io io = stream_->write({&part, out.empty() ? 0u : 1u}, taken);
  if (io == Io::error) {
    lose(RedisFault::lost, "the connection ended");
    return false;
  }
  if (phase_ == Phase::greeting) ::explicit_bzero(out.data(), taken);  // the password was in it
  out.erase(0, taken);
  return true;
}

void RedisLink::plan() {
  const Instant due = pipeline_->due();
  if (due == kNever) return due_.cancel();
  due_.arm(std::max<Duration>(due - loop_.now(), Duration::zero()));
}

void RedisLink::lose(RedisFault fault, std::string why) {
  if (phase_ == Phase::up) backoff_.held(loop_.now() - up_since_);
  phase_ = Phase::resting;
  self_.reset();
  addresses_.clear();
  connector_.reset();
  if (stream_) stream_->close();
  stream_.reset();
  due_.cancel();
  begin_.cancel();
  tally_.count(fault);
  timer_.arm(backoff_.next(random_()));
  if (const auto pipeline = std::move(pipeline_)) pipeline->fail(fault);
  if (hooks_.down) hooks_.down(fault, why);
}

}  // namespace sluice::store
