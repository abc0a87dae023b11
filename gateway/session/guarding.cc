// A Session's rules for messages: made of whom the client is known to be, asked of each message before any of it passes.
#include <algorithm>

#include "session/message_guard.h"
#include "session/session.h"

namespace sluice::session {

Session::Rare::Rare() = default;
Session::Rare::~Rare() = default;

void Session::guard_messages(const policy::Identity& identity) {
  const config::RouteSettings& settings = *route_->compiled->settings;
  if (settings.message_rules.empty() || !route_->compiled->cluster) return;
  if (guarded_) return rare_->guard->renew(identity);
  rare().guard = std::make_unique<MessageGuard>(settings.message_rules, settings.inspect, identity);
  guarded_ = true;
}

MessageGuard* Session::guard(Direction way) const {
  return guarded_ && rare_->guard->reads(way) ? rare_->guard.get() : nullptr;
}

relay::Appetite Session::appetite(Direction way) const {
  relay::Appetite wanted;
  if (spread_ && (way == Direction::up || spread_->races)) {
    wanted.text = spread_->appetite.text;
    if (way == Direction::up) wanted.binary = spread_->appetite.binary;
  }
  if (const MessageGuard* const asked = guard(way)) asked->want(way, wanted);
  const MutableBytes room{house_.place.turn.scratch.get(), relay::kMostHeld};
  if (way == Direction::up && renewal()) return renewal()->appetite(wanted, room);
  wanted.room = room.first(std::max(wanted.text, wanted.binary));
  return wanted;
}

std::optional<Verdict> Session::denied_message(Direction way) {
  const MessageGuard* const asked = guard(way);
  const policy::MessageAccess* const rule = asked ? asked->denies(way) : nullptr;
  if (!rule) return std::nullopt;
  route_->tally->denied_messages[static_cast<std::size_t>(way)][static_cast<std::size_t>(rule->action)].add();
  if (rule->action == policy::MessageAccess::Action::drop) return Verdict::consume();
  const Side side = way == Direction::up ? Side::client : Side::upstream;
  return Verdict::deny({Errc::message_denied, side, false, "a message is not as the route wants it"});
}

}  // namespace sluice::session
