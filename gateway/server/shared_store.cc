#include "server/shared_store.h"

#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "http/trace.h"
#include "net/connector.h"

namespace sluice::server {

namespace {

// After five commands in a row without an answer in time clients are told at once, for a second.
constexpr BreakerSettings kBreaker{.enabled = true, .failures = 5, .percent = 0, .open = std::chrono::seconds(1), .probes = 1};

std::unique_ptr<net::TlsClient> tls_of(net::CryptoContext& crypto, const store::RedisSettings& settings, std::string& why) {
  return net::TlsClient::make(crypto, {settings.ca, settings.certificate, settings.key, false}, why);
}

}  // namespace

SharedStore::SharedStore(const net::Place& place, net::Resolver& resolver, Revoker& revoker,
                         std::shared_ptr<policy::Revocations> table)
    : place_(place),
      resolver_(resolver),
      revoker_(revoker),
      table_(std::move(table)),
      stale_(place.loop, [this] { judge(); }) {
  tally_.took = [this](Duration duration) { took_.observe(std::chrono::duration<double>(duration).count()); };
}

SharedStore::~SharedStore() = default;

bool SharedStore::accepts(net::CryptoContext& crypto, const store::RedisSettings& settings, std::string& why) {
  if (!settings.tls || tls_of(crypto, settings, why)) return true;
  why = "[redis.tls]: " + why;
  return false;
}

void SharedStore::configure(const store::RedisSettings& settings) {
  const bool same = settings_.same_link(settings);
  const bool others = settings_.url != settings.url || settings_.prefix != settings.prefix;
  settings_ = settings;
  if (same) return judge();
  commands_.reset();
  news_.reset();
  if (revocations_) {
    before_.sent += revocations_->tally().sent;
    before_.received += revocations_->tally().received;
  }
  revocations_.reset();
  tls_.reset();
  said_down_ = false;
  if (others) ever_current_ = false;  // of these nothing is known
  lost_at_.reset();
  breaker_ = std::make_unique<Breaker>();
  if (!settings_.enabled()) return judge();
  if (settings_.tls) {
    std::string why;
    tls_ = tls_of(crypto_, settings_, why);
    check(tls_ != nullptr, "TLS settings that were taken are refused");
  }
  revocations_ = std::make_unique<SharedRevocations>(
      place_.loop, revoker_, table_, settings_.prefix, http::random_hex(8),
      [this](const std::vector<std::string>& command, store::RedisPipeline::Done done) {
        // Whoever waits for these can wait for as long as the link holds.
        return commands_->ask(command, Duration::zero(), std::move(done));
      });
  revocations_->changed = [this] { judge(); };
  commands_ = link("");
  news_ = link(SharedRevocations::channel_of(settings_.prefix));
  judge();
  commands_->open();
  news_->open();
}

std::unique_ptr<store::RedisLink> SharedStore::link(std::string channel) {
  store::RedisLink::Way way;
  way.resolve = [this](std::move_only_function<void(net::Resolver::Answer)> done) {
    if (settings_.socket.empty()) return resolver_.resolve(settings_.host, settings_.port, std::move(done));
    net::Resolver::Answer answer;
    answer.addresses = {settings_.socket};
    done(std::move(answer));
  };
  way.dial = [this](const net::Address& address, net::Ready& ready) {
    const std::string& name = settings_.server_name.empty() ? settings_.host : settings_.server_name;
    return net::connect_socket(place_, address, {tls_.get(), name, {}}, ready);
  };
  way.username = settings_.username;
  way.password = settings_.password;
  way.database = settings_.database;
  way.channel = std::move(channel);
  store::RedisLink::Hooks hooks;
  hooks.up = [this] { linked(); };
  hooks.down = [this](store::RedisFault fault, const std::string& why) { lost(fault, why); };
  hooks.message = [this](std::string_view payload) { revocations_->came(payload); };
  return std::make_unique<store::RedisLink>(place_.loop, std::move(way), std::move(hooks), tally_, [] { return random_u64(); });
}

void SharedStore::linked() {
  if (!commands_->up() || !news_->up()) return;
  said_down_ = false;
  log::event(Level::info, "redis_up", {{"url", settings_.url}});
  revocations_->up();
}

// One line for an outage, however many attempts it has.
void SharedStore::lost(store::RedisFault fault, const std::string& why) {
  if (!std::exchange(said_down_, true)) {
    log::event(Level::warn, "redis_down",
               {{"url", settings_.url}, {"kind", store::kRedisFaultNames[static_cast<std::size_t>(fault)]}, {"reason", why}});
  }
  revocations_->down();
}

void SharedStore::ask(std::vector<std::string> command, store::RedisPipeline::Done done) {
  const Instant now = place_.loop.now();
  if (!commands_ || !commands_->up() || !breaker_->allow(kBreaker, now)) return done(std::unexpected(store::RedisFault::lost));
  command[1] = settings_.prefix + ":{v1}:" + command[1];
  auto kept = std::make_shared<store::RedisPipeline::Done>(std::move(done));
  const bool asked = commands_->ask(command, settings_.timeout, [this, kept](store::RedisPipeline::Answer answer) {
    if (!answer) tally_.count(answer.error());
    breaker_->report(kBreaker, answer.has_value(), place_.loop.now());
    (*kept)(std::move(answer));
  });
  if (asked) return;
  breaker_->report(kBreaker, false, now);
  (*kept)(std::unexpected(store::RedisFault::full));
}

// Whether nobody is to be let in.
void SharedStore::judge() {
  const bool current = !settings_.enabled() || revocations_->current();
  ever_current_ |= current;
  if (current) {
    lost_at_.reset();
  } else if (!lost_at_) {
    lost_at_ = place_.loop.now();
  }
  // A gateway that has just started does not know anything yet: it waits for no time to pass.
  const Duration left = current || !ever_current_ ? Duration::zero() : *lost_at_ + settings_.stale_after - place_.loop.now();
  const bool stale = settings_.closed && !current && left <= Duration::zero();
  stale_.cancel();
  if (settings_.closed && !current && !stale) stale_.arm(left);
  if (stale == table_->stale()) return;
  table_->set_stale(stale);
  log::event(stale ? Level::error : Level::info, stale ? "redis_stale" : "redis_fresh",
             {{"new_connections", stale ? "refused on routes with auth" : "let in"}});
}

std::optional<SharedStoreFacts> SharedStore::facts() const {
  if (!settings_.enabled()) return std::nullopt;
  SharedStoreFacts facts;
  facts.up = commands_->up() && news_->up();
  facts.faults = tally_.faults;
  facts.revocations = revocations_->tally();
  facts.revocations.sent += before_.sent;
  facts.revocations.received += before_.received;
  facts.took = &took_;
  return facts;
}

}  // namespace sluice::server
