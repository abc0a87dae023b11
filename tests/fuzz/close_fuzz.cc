// Control frames: a Close payload means what a plain reading of RFC 6455 §7.4 says; what the gateway makes of an opcode or of
// a code and a reason, a framer of the other role reads again. Input: an octet that chooses the side, then the payload.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "ws/control.h"
#include "ws/ws_framer.h"

using namespace sluice;

namespace {

// §7.4.1 and IANA's registry: what an endpoint may send.
bool sendable(unsigned code) {
  switch (code) {
    case 1004:
    case 1005:
    case 1006: return false;
    default: return (code >= 1000 && code <= 1014) || (code >= 3000 && code <= 4999);
  }
}

void check_parsed(Bytes payload, Side side) {
  const auto content = ws::parse_close(payload, side);
  const bool has_code = payload.size() >= 2;
  const unsigned code = has_code ? payload[0] * 256U + payload[1] : 1005;
  const bool good = payload.empty() || (has_code && sendable(code) && valid_utf8(payload.subspan(2)));
  check(content.has_value() == good, "a Close is judged differently");
  if (!content) return check(content.error().side == side, "the other side is blamed");
  check(content->code == code && content->reason == as_text(payload.subspan(std::min<std::size_t>(2, payload.size()))),
        "a Close reads differently");
}

// The payload of a frame of ours, read by whoever it is for.
std::vector<std::uint8_t> read_back(const ws::ControlFrame& frame, std::uint8_t opcode, bool masked) {
  ws::FramingRules rules;
  rules.side = masked ? Side::client : Side::upstream;
  ws::WsFramer framer(rules);
  std::vector<std::uint8_t> octets(frame.bytes().begin(), frame.bytes().end());
  const auto run = framer.next(octets);
  check(run && run->control && run->opcode == opcode && run->size == octets.size(), "a frame of ours is not one control frame");
  return {run->content.begin(), run->content.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool masked = (data[0] & 1) != 0;
  const Bytes payload(data + 1, size - 1);
  check_parsed(payload, masked ? Side::client : Side::upstream);

  const Bytes most = payload.first(std::min<std::size_t>(payload.size(), 125));
  for (const std::uint8_t opcode : {ws::kPing, ws::kPong}) {
    check(std::ranges::equal(read_back(ws::ControlFrame::make(opcode, most, masked), opcode, masked), most), "a payload changed");
  }

  const std::uint16_t code = payload.size() >= 2 ? load_be<std::uint16_t>(payload.data()) : 1005;
  if (code != 1005 && !ws::valid_close_code(code)) return 0;
  const Bytes reason = payload.subspan(std::min<std::size_t>(2, payload.size()));
  if (!valid_utf8(reason)) return 0;
  const auto written = read_back(ws::ControlFrame::close(code, as_text(reason), masked), ws::kClose, masked);
  const auto read = ws::parse_close(written, Side::client);
  check(read && read->code == code, "a Close of ours is refused");
  if (code != 1005) check(as_text(reason).starts_with(read->reason) && read->reason.size() + 3 >= std::min<std::size_t>(reason.size(), 123), "a reason of ours changed");
  return 0;
}
