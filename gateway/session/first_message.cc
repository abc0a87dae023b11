#include "session/first_message.h"

#include <algorithm>
#include <utility>

#include "policy/token_message.h"
#include "ws/control.h"

namespace sluice::session {

namespace {

constexpr unsigned kFillsPerTurn = 16;
constexpr std::uint32_t kFragments = 1024;  // where the route does not bound them

ws::FramingRules framing_of(const policy::AuthSettings& settings, const config::WebSocketSettings& rules) {
  const std::uint64_t most = settings.first_message.max;
  return {.side = Side::client,
          .max_message = rules.max_message == 0 ? most : std::min(most, rules.max_message),
          .max_fragments = rules.max_fragments == 0 ? kFragments : rules.max_fragments,
          .rsv1 = false,  // nothing was agreed with an upstream
          .validate_utf8 = true};
}

}  // namespace

FirstMessage::FirstMessage(const policy::AuthSettings& settings, const config::WebSocketSettings& rules, Instant now)
    : settings_(settings),
      rules_(rules),
      deadline_(now + settings.first_message.deadline),
      framer_(framing_of(settings, rules)) {}

FirstMessage::~FirstMessage() { Secret(std::move(text_)); }

Result<bool> FirstMessage::advance(net::Stream& client, std::string& out, Instant now) {
  more_ = false;
  TRY_VOID(speak(client, out));
  const Result<bool> whole = read(client, out);
  client.settle();
  if (!whole) return fail(whole.error());
  TRY_VOID(speak(client, out));  // the answers to its pings
  if (*whole || now < deadline_) return *whole;
  return fail(Errc::first_message_timeout, Side::client, "no credential came in time");
}

Result<bool> FirstMessage::read(net::Stream& client, std::string& out) {
  for (unsigned fills = 0;; ++fills) {
    while (!client.received().empty()) {
      const relay::Run run = TRY(framer_.next_unmasked(client.received()));
      if (run.size == 0) break;
      if (run.control) {
        TRY_VOID(control(run));
      } else {
        if (run.opcode != ws::kText) return fail(Errc::bad_first_message, Side::client, "the first message is no text");
        keep(Bytes(client.received()).subspan(run.size - run.payload, run.payload));
      }
      client.consume(run.size);
      if (!run.ends || run.control) continue;
      auto token = policy::token_of_first_message(text_, settings_.refresh.type, settings_.first_message.max);
      Secret(std::exchange(text_, {}));
      if (!token) return fail(Errc::bad_first_message, Side::client, "the first message holds no credential");
      token_ = std::move(*token);
      return true;
    }
    if (fills == kFillsPerTurn) return more_ = true, false;
    const Io io = client.starved() ? Io::blocked : client.fill();
    if (io == Io::blocked) return false;
    if (io != Io::ok) return fail(Errc::client_lost, Side::client, "it left before it said who it is");
  }
}

Result<void> FirstMessage::control(const relay::Run& run) {
  if (rules_.control_rate > 0 && ++controls_ > rules_.control_burst) {
    return fail(Errc::flood_ctl, Side::client, "too many control frames");
  }
  if (run.opcode == ws::kPing) pong_.emplace(as_text(run.content));  // only the newest is answered (RFC 6455 §5.5.3)
  if (run.opcode != ws::kClose) return {};
  const ws::CloseContent close = TRY(ws::parse_close(run.content, Side::client));
  closed_ = close.code;
  return fail(Errc::client_lost, Side::client, "it left before it said who it is");
}

// What a string grows out of is wiped.
void FirstMessage::keep(Bytes octets) {
  if (text_.size() + octets.size() > text_.capacity()) {
    std::string larger;
    larger.reserve(std::max(text_.size() + octets.size(), 2 * text_.capacity()));
    larger.append(text_);
    Secret(std::exchange(text_, std::move(larger)));
  }
  text_ += as_text(octets);
}

// What waits goes first: a pong must not stand inside of it, and a client that takes nothing is owed one answer.
Result<void> FirstMessage::speak(net::Stream& client, std::string& out) {
  while (true) {
    if (out.empty() && pong_) {
      out = as_text(ws::ControlFrame::make(ws::kPong, as_bytes(*pong_), false).bytes());
      pong_.reset();
    }
    const Bytes part = as_bytes(out);
    std::size_t taken = 0;
    if (client.write({&part, part.empty() ? 0u : 1u}, taken) == Io::error) {
      return fail(Errc::client_lost, Side::client, "it left before it said who it is");
    }
    out.erase(0, taken);
    if (!out.empty() || !pong_) return {};
  }
}

}  // namespace sluice::session
