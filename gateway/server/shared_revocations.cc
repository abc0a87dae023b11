#include "server/shared_revocations.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "http/trace.h"
#include "server/revocation_text.h"
#include "server/revoke_command.h"

namespace sluice::server {

namespace {

using policy::Revocation;
using store::RedisReply;

constexpr std::size_t kMostPaying = 64;
constexpr std::size_t kMostName = 128;  // octets of a claim's
constexpr std::string_view kPage = "100";  // entries of one page, about
constexpr auto kAgain = std::chrono::seconds(1);
constexpr JsonLimits kEntry{.octets = 32 * 1024, .depth = 2, .members = 16};
constexpr std::int64_t kClocks = 60'000;  // by how much the clocks of two gateways may differ

// One at a time for all gateways, so that nobody overwrites what is newer. KEYS: the entry, the set, the channel.
// ARGV: id, flag, stamp, ends, now, the rest of the entry. 1: it was news.
constexpr std::string_view kPut = R"(
local flag, stamp, ends, now, rest = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local held = redis.call('GET', KEYS[1])
if held then
  local was, at, last, words = string.match(held, '^(.) (%d+) (%d+) (.*)$')
  if was then
    at, last = tonumber(at), tonumber(last)
    if was == '+' and flag == '+' then
      if at >= stamp and last >= ends then return 0 end
      if at > stamp then stamp, rest = at, words end
      if last > ends then ends = last end
    elseif at > stamp or (at == stamp and was == '-') then
      return 0
    elseif flag == '-' and last > ends then
      ends = last
    end
  end
end
if ends <= now then return 0 end
local text = string.format('%s %.0f %.0f %s', flag, stamp, ends, rest)
redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', ends - now))
redis.call('ZADD', KEYS[2], string.format('%.0f', ends), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', now))
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', tonumber(last[2]) - now))
redis.call('PUBLISH', KEYS[3], text)
return 1
)";

std::string_view next_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

bool take_number(std::string_view word, std::int64_t& out) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
  return error == std::errc() && end == word.data() + word.size() && out >= 0;
}

// What the admin API would have taken. Whoever can write there could revoke anybody, and not send Closes that may not be sent.
bool acceptable(const Revocation& what) {
  const bool code = what.code == 0 || what.code == 1000 || what.code == 1008 || (what.code >= 3000 && what.code <= 4999);
  return code && what.name.size() <= kMostName && what.auth.size() <= RevokeCommand::kMostText &&
         what.issuer.size() <= RevokeCommand::kMostText && !what.value.empty() && what.value.size() <= RevokeCommand::kMostText && what.reason.size() <= 123 &&
         (what.kind == Revocation::Kind::claim) == !what.name.empty() && (what.of_identity() || (what.auth.empty() && what.issuer.empty()));
}

}  // namespace

SharedRevocations::SharedRevocations(event::Loop& loop, Revoker& revoker, std::shared_ptr<const policy::Revocations> table,
                                     std::string prefix, std::string origin, Ask ask)
    : loop_(loop),
      revoker_(revoker),
      table_(std::move(table)),
      base_(std::move(prefix) + ":{v1}:"),
      origin_(std::move(origin)),
      ask_(std::move(ask)),
      again_(loop, [this] { up(); }) {
  revoker_.share_with(this);
}

SharedRevocations::~SharedRevocations() { revoker_.share_with(nullptr); }

// ---- what is done here -----------------------------------------------------------------------------------------------------

void SharedRevocations::made(const Revocation& what, bool lasts) {
  const std::int64_t stamp = what.made.time_since_epoch().count();
  if (lasts) {
    // While nobody can be told, the table keeps it: add_missing() finds it there.
    if (phase_ != Phase::away) owe(policy::Revocations::id_of(what), {'+', stamp, what.expires.time_since_epoch().count(), origin_, what});
    return;
  }
  const auto kept = std::chrono::duration_cast<std::chrono::milliseconds>(kKickKept).count();
  Said kick{'!', stamp, stamp + kept, origin_, what};
  kick.what.id = http::random_hex(16);
  std::string id = kick.what.id;
  owe(std::move(id), std::move(kick));
}

// Kept as long as the entry could come back from somebody who has not heard of it.
void SharedRevocations::removed(const Revocation& what) {
  const std::int64_t now = wall();
  std::string id = policy::Revocations::id_of(what);
  if (phase_ == Phase::telling || phase_ == Phase::reading) removed_[id] = now;
  owe(std::move(id), {'-', now, std::max<std::int64_t>(what.expires.time_since_epoch().count(), now + kClocks), origin_, what});
}

void SharedRevocations::owe(std::string id, Said said) {
  if (phase_ == Phase::away && owed_.size() >= kMostOwed) {
    owed_.pop_front();
    log::event(Level::error, "redis_not_told", {{"reason", "more was done here than is kept while Redis is away"}});
  }
  owed_.emplace_back(std::move(id), std::move(said));
  pay();
}

void SharedRevocations::pay() {
  if (phase_ == Phase::away) return;
  while (!owed_.empty() && paying_ < kMostPaying) {
    auto [id, said] = std::move(owed_.front());
    owed_.pop_front();
    const std::int64_t now = wall();
    if (said.ends <= now) continue;
    const std::vector<std::string> command{"EVAL", std::string(kPut), "3", key_of(id), base_ + "revocations", base_ + "news", id,
                                           std::string(1, said.flag), std::to_string(said.stamp), std::to_string(said.ends),
                                           std::to_string(now), said.origin + ' ' + revocation_text(said.what)};
    // Kept for the case that it gets lost on the way.
    auto kept = std::make_shared<std::pair<std::string, Said>>(id, said);
    const bool asked = ask_(command, [this, round = round_, kept](const store::RedisPipeline::Answer& answer) {
      if (round == round_) --paying_;
      paid(std::move(kept->first), std::move(kept->second), answer);
    });
    if (!asked) {
      owed_.emplace_front(std::move(id), std::move(said));
      if (paying_ == 0) broken("too much waits for it");  // else what is under way calls again
      return;
    }
    ++paying_;
  }
}

void SharedRevocations::paid(std::string id, Said said, const store::RedisPipeline::Answer& answer) {
  if (!answer) {
    if (said.flag != '+') owed_.emplace_front(std::move(id), std::move(said));
    return;
  }
  if (answer->is(RedisReply::Type::error)) {
    if (said.flag != '+') owed_.emplace_back(std::move(id), std::move(said));
    return broken(answer->text);
  }
  if (answer->integer == 1) ++tally_.sent;
  pay();
  settle();
}

// What was owed from before is told ahead of reading: an entry that was taken back here must not come back from there.
void SharedRevocations::settle() {
  if (phase_ == Phase::telling && paying_ == 0 && owed_.empty()) {
    enter(Phase::reading);
    read_page("0");
  }
}

// ---- what was done elsewhere -----------------------------------------------------------------------------------------------

void SharedRevocations::up() {
  again_.cancel();
  ++round_;
  paying_ = 0;
  held_.clear();
  removed_.clear();
  enter(Phase::telling);
  pay();
  settle();
}

void SharedRevocations::down() {
  again_.cancel();
  ++round_;
  paying_ = 0;
  enter(Phase::away);
}

// A reply that says no: tried again, from the beginning.
void SharedRevocations::broken(std::string_view why) {
  if (phase_ == Phase::away) return;
  log::event(Level::error, "redis_refused", {{"error", why.substr(0, 200)}});
  down();
  again_.arm(kAgain);
}

void SharedRevocations::read_page(std::string cursor) {
  const bool asked = ask_({"ZSCAN", base_ + "revocations", std::move(cursor), "COUNT", std::string(kPage)},
                          [this, round = round_](const store::RedisPipeline::Answer& answer) {
                            if (round == round_) page_came(answer);
                          });
  if (!asked) broken("too much waits for it");
}

void SharedRevocations::page_came(const store::RedisPipeline::Answer& answer) {
  if (!answer) return;
  const bool good = answer->is(RedisReply::Type::array) && answer->items.size() == 2 && answer->items[1].is(RedisReply::Type::array);
  if (!good) return broken(answer->is(RedisReply::Type::error) ? answer->text : "no page of a sorted set");
  cursor_ = answer->items[0].text;
  const auto& members = answer->items[1].items;  // each with its score behind it
  for (std::size_t i = 0; i + 1 < members.size(); i += 2) {
    const bool asked = ask_({"GET", key_of(members[i].text)},
                            [this, round = round_, id = members[i].text](const store::RedisPipeline::Answer& entry) {
                              if (round == round_) entry_came(id, entry);
                            });
    if (!asked) return broken("too much waits for it");
    ++reading_;
  }
  page_done();
}

void SharedRevocations::entry_came(const std::string& id, const store::RedisPipeline::Answer& answer) {
  --reading_;
  if (!answer) return;
  if (answer->is(RedisReply::Type::error)) return broken(answer->text);
  if (auto said = parse(answer->text)) {
    if (said->flag == '+') held_[id] = {said->stamp, said->ends};
    const auto later = removed_.find(id);
    if (said->flag == '-') {
      revoker_.withdraw(said->what);
    } else if (later == removed_.end() || later->second < said->stamp) {
      if (said->flag == '+') {
        page_.push_back(std::move(said->what));
      } else if (said->origin != origin_) {
        came(answer->text);
      }
    }
  }
  page_done();
}

void SharedRevocations::page_done() {
  if (reading_ > 0) return;
  // Taken back while the page came.
  std::erase_if(page_, [this](const Revocation& one) {
    const auto later = removed_.find(policy::Revocations::id_of(one));
    return later != removed_.end() && later->second >= one.made.time_since_epoch().count();
  });
  tally_.received += page_.size();
  revoker_.apply(std::exchange(page_, {}));
  if (cursor_ != "0") return read_page(cursor_);
  add_missing();
  held_.clear();
  removed_.clear();
  enter(Phase::current);
  pay();
}

// What Redis has lost, or was never told.
void SharedRevocations::add_missing() {
  for (const Revocation* const one : table_->list(table_->size())) {
    std::string id = policy::Revocations::id_of(*one);
    const std::int64_t stamp = one->made.time_since_epoch().count();
    const std::int64_t ends = one->expires.time_since_epoch().count();
    const auto held = held_.find(id);
    if (held != held_.end() && held->second.stamp >= stamp && held->second.ends >= ends) continue;
    owed_.emplace_back(std::move(id), Said{'+', stamp, ends, origin_, *one});
  }
}

void SharedRevocations::came(std::string_view text) {
  auto said = parse(text);
  if (!said) return log::event(Level::warn, "redis_bad_message", {{"octets", std::uint64_t{text.size()}}});
  if (said->origin == origin_ && said->flag != '+') return;
  // One's own comes back with the end of another's that lasts longer, perhaps.
  if (said->origin != origin_) ++tally_.received;
  switch (said->flag) {
    case '-':
      if (phase_ == Phase::telling || phase_ == Phase::reading) removed_[policy::Revocations::id_of(said->what)] = said->stamp;
      return revoker_.withdraw(said->what);
    case '!': {
      const auto ago = std::chrono::milliseconds(std::max<std::int64_t>(wall() - said->stamp, 0));
      return revoker_.apply_kick(std::move(said->what), loop_.now() - ago);
    }
    default: {
      std::vector<Revocation> one;
      one.push_back(std::move(said->what));
      return revoker_.apply(std::move(one));
    }
  }
}

std::optional<SharedRevocations::Said> SharedRevocations::parse(std::string_view text) const {
  Said said;
  const std::string_view flag = next_word(text);
  if (flag != "+" && flag != "-" && flag != "!") return std::nullopt;
  said.flag = flag[0];
  if (!take_number(next_word(text), said.stamp) || !take_number(next_word(text), said.ends)) return std::nullopt;
  said.origin = next_word(text);
  const auto json = Json::parse(text, kEntry);
  if (!json || !json->is(Json::Type::object)) return std::nullopt;
  auto what = revocation_of(*json);
  const std::int64_t most = wall() + std::chrono::duration_cast<std::chrono::milliseconds>(RevokeCommand::kMostTtl).count() + kClocks;
  if (!what || !acceptable(*what) || said.ends > most || said.stamp > most) return std::nullopt;
  said.what = std::move(*what);
  said.what.id.clear();  // it is of what it says
  said.what.made = WallTime(std::chrono::milliseconds(said.stamp));
  said.what.expires = WallTime(std::chrono::milliseconds(said.ends));
  return said;
}

void SharedRevocations::enter(Phase phase) {
  const bool before = current();
  phase_ = phase;
  if (phase == Phase::away || phase == Phase::telling) {
    reading_ = 0;
    page_.clear();
  }
  if (before != current() && changed) changed();
}

}  // namespace sluice::server
