#include "ws/ws_framer.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace sluice::ws {
namespace {

using relay::Run;

constexpr std::uint64_t kShortFragment = 1024;  // only fragments under this size count for max_fragments
constexpr std::uint64_t kTopBit = std::uint64_t{1} << 63;

// The least and the greatest number that a big-endian integer can still become when only its first octets are
// known.
template <typename T>
void bound(Bytes known, std::uint64_t& low, std::uint64_t& high) {
  if (known.size() >= sizeof(T)) [[likely]] {
    low = high = load_be<T>(known.data());
    return;
  }
  std::array<std::uint8_t, sizeof(T)> zeros{};
  std::array<std::uint8_t, sizeof(T)> ones;
  ones.fill(0xFF);
  std::copy(known.begin(), known.end(), zeros.begin());
  std::copy(known.begin(), known.end(), ones.begin());
  low = load_be<T>(zeros.data());
  high = load_be<T>(ones.data());
}

}  // namespace

// What the octets received so far, two at least, say about a frame header.
struct WsFramer::Glimpse {
  bool fin;
  std::uint8_t rsv;
  std::uint8_t opcode;
  bool masked;
  std::uint8_t code;  // the 7 bits of length: 126 and 127 announce more octets
  std::uint64_t low;  // the length lies between these two; they are equal when all its octets are there
  std::uint64_t high;
  std::size_t size;  // of the whole header

  explicit Glimpse(Bytes bytes)
      : fin((bytes[0] & 0x80) != 0),
        rsv(bytes[0] & 0x70),
        opcode(bytes[0] & 0x0F),
        masked((bytes[1] & 0x80) != 0),
        code(bytes[1] & 0x7F),
        low(code),
        high(code),
        size(masked ? 6 : 2) {
    if (code == 126) {
      bound<std::uint16_t>(bytes.subspan(2), low, high);
      size += 2;
    } else if (code == 127) {
      bound<std::uint64_t>(bytes.subspan(2), low, high);
      size += 8;
    }
  }
};

WsFramer::WsFramer(const FramingRules& rules)
    : limit_(rules.max_message != 0 ? rules.max_message : std::numeric_limits<std::uint64_t>::max()),
      max_fragments_(rules.max_fragments),
      side_(rules.side),
      rsv1_(rules.rsv1),
      validate_utf8_(rules.validate_utf8) {
  static_assert(sizeof(WsFramer) <= 64);
}

Result<Run> WsFramer::next(MutableBytes bytes) { return advance(bytes, false); }

Result<Run> WsFramer::next_unmasked(MutableBytes bytes) { return advance(bytes, true); }

Result<Run> WsFramer::advance(MutableBytes bytes, bool unmask) {
  // The Run is filled where the caller receives it: copying it costs more than reading a frame header.
  Result<Run> result;
  const Error error = read(bytes, unmask, *result);
  if (error.code != Errc::none) [[unlikely]]
    result = fail(error);
  return result;
}

Error WsFramer::read(MutableBytes bytes, bool unmask, Run& run) {
  if (left_ > 0) return cover(bytes, unmask, run);
  if (bytes.empty()) return {};
  if (const Error error = judge_first(bytes[0]); error.code != Errc::none) [[unlikely]]
    return error;
  if (bytes.size() < 2) return {};
  const Glimpse glimpse(bytes);
  if (const Error error = judge(glimpse); error.code != Errc::none) [[unlikely]]
    return error;
  if (bytes.size() < glimpse.size) return {};
  if (is_control(glimpse.opcode)) {
    cover_control(glimpse, bytes, unmask, run);
    return {};
  }
  begin_frame(glimpse, bytes);
  run.size = glimpse.size;
  run.skip = unmask ? glimpse.size : 0;
  run.begins = glimpse.opcode != kContinuation;
  return cover(bytes.subspan(glimpse.size), unmask, run);
}

// RFC 6455 §5.2, and RFC 7692 §6: RSV1 only on the first frame of a data message.
Error WsFramer::judge_first(std::uint8_t first) const {
  const std::uint8_t rsv = first & 0x70;
  const std::uint8_t opcode = first & 0x0F;
  if (rsv != 0 && !(rsv == 0x40 && rsv1_ && (opcode == kText || opcode == kBinary))) {
    return refusal(Errc::ws_rsv, "RFC 6455 5.2: reserved bit without an extension");
  }
  if ((opcode & 7) > 2) return refusal(Errc::ws_opcode, "RFC 6455 5.2: unknown opcode");
  return {};
}

// The checks behind RSV and opcode, in the order that the header promises.
Error WsFramer::judge(const Glimpse& glimpse) const {
  if (glimpse.masked != (side_ == Side::client)) {
    return refusal(Errc::ws_mask, "RFC 6455 5.1: frames of a client are masked, frames of a server are not");
  }
  if (is_control(glimpse.opcode)) {
    if (!glimpse.fin || glimpse.code > 125)
      return refusal(Errc::ws_ctl, "RFC 6455 5.5: control frame cut or over 125");
    return {};
  }
  if (glimpse.code == 127 && (glimpse.low & kTopBit) != 0)
    return refusal(Errc::ws_len, "RFC 6455 5.2: top bit of length");
  const std::uint64_t least = glimpse.code == 127 ? 0x10000 : glimpse.code == 126 ? 126 : 0;
  if (glimpse.high < least) return refusal(Errc::ws_len, "RFC 6455 5.2: length not in its minimal form");
  if (glimpse.low < least) return {};  // not known yet
  if ((glimpse.opcode == kContinuation) != (opcode_ != kContinuation)) {
    return refusal(Errc::ws_frag,
                   "RFC 6455 5.4: continuation without a message, or a message inside another");
  }
  const std::uint64_t room = limit_ - covered_;
  if (glimpse.low > room) return refusal(Errc::too_big, "message over the limit");
  if (glimpse.high > room) return {};  // not known yet
  if (glimpse.high < kShortFragment && max_fragments_ != 0 && fragments_ >= max_fragments_) {
    return refusal(Errc::flood_frag, "too many short fragments in one message");
  }
  return {};
}

void WsFramer::cover_control(const Glimpse& glimpse, MutableBytes bytes, bool unmask, Run& run) const {
  // The thread keeps the copy of the control frame at hand: no connection pays for room that it rarely uses.
  static thread_local std::array<std::uint8_t, 125> scratch;
  if (bytes.size() - glimpse.size < glimpse.low) return;
  run.control = true;
  run.opcode = glimpse.opcode;
  run.size = glimpse.size + glimpse.low;
  run.skip = unmask ? run.size : 0;
  const Bytes payload = bytes.subspan(glimpse.size, glimpse.low);
  std::copy(payload.begin(), payload.end(), scratch.begin());
  if (glimpse.masked) {
    std::array<std::uint8_t, 4> mask;
    std::memcpy(mask.data(), bytes.data() + glimpse.size - 4, 4);
    apply_mask(MutableBytes(scratch).first(payload.size()), mask);
  }
  run.content = Bytes(scratch).first(payload.size());
}

// The header has been judged and is whole: a data frame is now at hand.
void WsFramer::begin_frame(const Glimpse& glimpse, Bytes bytes) {
  if (glimpse.opcode != kContinuation) {
    opcode_ = glimpse.opcode;
    covered_ = 0;
    fragments_ = 0;
    // What is compressed can be checked only by who inflates it.
    checking_ = validate_utf8_ && glimpse.opcode == kText && glimpse.rsv == 0;
  }
  fin_ = glimpse.fin;
  left_ = glimpse.low;
  covered_ += glimpse.low;
  if (glimpse.low < kShortFragment) ++fragments_;
  phase_ = 0;
  if (glimpse.masked) std::memcpy(mask_.data(), bytes.data() + glimpse.size - 4, 4);
}

// Extends `run` over as much payload of the frame at hand as has come.
Error WsFramer::cover(MutableBytes bytes, bool unmask, Run& run) {
  const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
  const MutableBytes piece = bytes.first(size);
  const bool masked = side_ == Side::client;
  if (masked && unmask) apply_mask(piece, mask_, phase_);
  if (checking_ && !text_goes_on(piece, unmask || !masked))
    return refusal(Errc::ws_utf8, "text is not UTF-8");
  phase_ = static_cast<std::uint8_t>((phase_ + size) & 3);
  left_ -= size;
  run.size += size;
  run.payload = size;
  run.opcode = opcode_;
  if (left_ == 0 && fin_) {
    if (checking_ && !utf8_.complete()) return refusal(Errc::ws_utf8, "text ends inside a code point");
    run.ends = true;
    opcode_ = kContinuation;
    covered_ = 0;
    fragments_ = 0;
  }
  return {};
}

// Shows the piece to the validator; what is masked is unmasked in a copy, a block at a time.
bool WsFramer::text_goes_on(Bytes piece, bool unmasked) {
  if (unmasked) return utf8_.feed(piece);
  std::array<std::uint8_t, 4096> block;  // a multiple of 4, so that every block begins at the same phase
  while (!piece.empty()) {
    const std::size_t size = std::min(piece.size(), block.size());
    std::memcpy(block.data(), piece.data(), size);
    apply_mask(MutableBytes(block).first(size), mask_, phase_);
    if (!utf8_.feed(Bytes(block).first(size))) return false;
    piece = piece.subspan(size);
  }
  return true;
}

// Unfragmented data frames of up to 64 KiB that lie there as a whole and break no rule; anything else ends the batch and is
// judged by next().
relay::Batch WsFramer::peek(Bytes bytes, std::uint32_t most) const {
  relay::Batch batch;
  const std::uint8_t masked = side_ == Side::client ? 0x80 : 0;
  const std::size_t mask_size = masked ? 4 : 0;
  std::size_t at = 0;
  while (bytes.size() - at >= 2 && batch.messages() < most) {
    const std::uint8_t* const header = bytes.data() + at;
    const bool text = header[0] == (0x80 | kText);
    if (!text && header[0] != (0x80 | kBinary)) break;
    if (text && validate_utf8_) break;
    if ((header[1] & 0x80) != masked) break;
    std::size_t length = header[1] & 0x7fu;
    std::size_t size = 2 + mask_size;
    if (length == 126) {
      if (bytes.size() - at < 4) break;
      length = load_be<std::uint16_t>(header + 2);
      size += 2;
      if (length < 126) break;
    } else if (length == 127) {
      break;
    }
    if (length > limit_ || bytes.size() - at < size + length) break;
    at += size + length;
    batch.payload += length;
    ++(text ? batch.text : batch.binary);
    batch.sizes.add(length);
  }
  batch.size = at;
  return batch;
}

// Walks the frames in a state of its own; payload is copied only once it is known that it will be shown, so that a message
// that comes octet by octet costs no copy for each of them. UTF-8 is judged when the message passes.
relay::Preview WsFramer::preview(MutableBytes bytes, const relay::Appetite& wanted, std::size_t controls, bool last) const {
  using State = relay::Preview::State;
  relay::Preview message;
  WsFramer ahead(*this);
  ahead.validate_utf8_ = false;
  std::size_t at = 0;
  std::uint64_t payload = 0;
  std::uint64_t most = 0;
  bool begun = false;
  while (true) {
    Run run;
    const Error error = ahead.read(bytes.subspan(at), false, run);
    if (error.code != Errc::none) {
      if (!begun) return message;
      message.error = error;
      message.state = State::broken;
      return message;
    }
    if (run.control && (!begun || controls == 0)) {
      message.state = begun ? State::control : State::none;
      message.control = run;
      return message;
    }
    if (run.size == 0) break;
    at += run.size;
    if (run.control) {
      --controls;
      continue;
    }
    if (run.begins) {
      begun = true;
      message.opcode = run.opcode;
      most = run.opcode == kText ? wanted.text : wanted.binary;
    }
    const bool first = payload == 0 && run.payload > 0 && message.opcode == kText && wanted.only != 0;
    if (first && ahead.octet(bytes[at - run.payload]) != wanted.only) most = 0;
    payload += run.payload;
    message.whole = run.ends;
    if (run.ends || payload >= most) break;
  }
  if (!begun) return message;
  if (!message.whole && payload < most && !last) {
    message.state = State::waiting;
    return message;
  }
  message.state = State::ready;
  message.whole = message.whole && payload <= most;
  const MutableBytes copy = wanted.room.first(static_cast<std::size_t>(std::min(payload, most)));
  copy_ahead(bytes, copy);
  message.content = copy;
  return message;
}

// The first room.size() payload octets of the message at the front of `bytes`, unmasked; they are there.
void WsFramer::copy_ahead(MutableBytes bytes, MutableBytes room) const {
  WsFramer ahead(*this);
  ahead.validate_utf8_ = false;
  while (!room.empty()) {
    Run run;
    check(ahead.read(bytes, false, run).code == Errc::none && run.size > 0, "octets read ahead are not there");
    // Each run begins with its frame's header, and so with the mask's first octet.
    const std::size_t size = std::min(run.payload, room.size());
    if (size > 0) std::memcpy(room.data(), bytes.data() + run.size - run.payload, size);
    if (side_ == Side::client) apply_mask(room.first(size), ahead.mask_);
    room = room.subspan(size);
    bytes = bytes.subspan(run.size);
  }
}

}  // namespace sluice::ws
