#include "ws/control.h"

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "base/utf8.h"

namespace sluice::ws {
namespace {

constexpr std::size_t kMaxPayload = 125;  // RFC 6455 §5.5
constexpr std::uint16_t kNoStatus = 1005;

}  // namespace

ControlFrame ControlFrame::make(std::uint8_t opcode, Bytes payload, bool masked) {
  check(is_control(opcode) && payload.size() <= kMaxPayload, "a control frame carries at most 125 octets");
  FrameHeader header;
  header.opcode = opcode;
  header.masked = masked;
  header.length = payload.size();
  if (masked) random_fill(header.mask);

  ControlFrame frame;
  const std::size_t at = header.encode(frame.octets_.data());
  if (!payload.empty()) std::memcpy(frame.octets_.data() + at, payload.data(), payload.size());
  if (masked) apply_mask(MutableBytes(frame.octets_).subspan(at, payload.size()), header.mask);
  frame.size_ = static_cast<std::uint8_t>(at + payload.size());
  return frame;
}

ControlFrame ControlFrame::close(std::uint16_t code, std::string_view reason, bool masked) {
  if (code == kNoStatus) return make(kClose, {}, masked);
  check(valid_close_code(code), "this close code is never on the wire");
  std::array<std::uint8_t, kMaxPayload> payload;
  store_be(payload.data(), code);
  Bytes text = as_bytes(reason.substr(0, kMaxPayload - 2));
  // The cut must not leave half a code point: the reason has to stay UTF-8 (§5.5.1).
  if (text.size() < reason.size()) text = text.first(text.size() - cut_code_point(text));
  std::copy(text.begin(), text.end(), payload.begin() + 2);
  return make(kClose, Bytes(payload).first(2 + text.size()), masked);
}

bool valid_close_code(std::uint16_t code) {
  if (code >= 3000 && code <= 4999) return true;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

Result<CloseContent> parse_close(Bytes payload, Side side) {
  CloseContent content;
  if (payload.empty()) return content;
  if (payload.size() == 1) return fail(Errc::ws_close, side, "RFC 6455 5.5.1: half a close code");
  content.code = load_be<std::uint16_t>(payload.data());
  if (!valid_close_code(content.code))
    return fail(Errc::ws_close, side, "RFC 6455 7.4: close code not for the wire");
  content.reason = as_text(payload.subspan(2));
  if (!valid_utf8(payload.subspan(2)))
    return fail(Errc::ws_utf8, side, "RFC 6455 5.5.1: close reason is not UTF-8");
  return content;
}

}  // namespace sluice::ws
