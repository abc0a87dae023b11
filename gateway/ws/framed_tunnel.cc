#include "ws/framed_tunnel.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice::ws {

namespace {

using relay::Run;

// A message must fit into one frame.
FramingRules bounded(FramingRules rules, const TcpFraming& framing) {
  const std::uint64_t most = framing.longest();
  if (rules.max_message == 0 || rules.max_message > most) rules.max_message = most;
  return rules;
}

constexpr std::array<std::uint8_t, 3> kReplacement{0xEF, 0xBF, 0xBD};  // U+FFFD
constexpr std::size_t kReplacements = 4;                               // beside a header in Run.prefix

constexpr Error kTooBig{Errc::tcp_frame_too_big, Side::upstream, false, "a frame of the server is over max_frame"};

}  // namespace

// ---- up, delimited -----------------------------------------------------------------------------------------------------

WsToDelimited::WsToDelimited(const FramingRules& rules, const TcpFraming& framing)
    : framer_(bounded(rules, framing)), framing_(framing) {}

Result<Run> WsToDelimited::next(MutableBytes bytes) {
  constexpr Error kHoldsIt{Errc::ws_delimiter, Side::client, false, "the message holds the delimiter"};
  Result<Run> result = framer_.next_unmasked(bytes);
  if (!result || result->size == 0 || result->control) return result;
  Run& run = *result;
  if (run.begins) matched_ = 0;
  const Bytes payload = bytes.subspan(run.skip, run.payload);
  if (const auto end = framing_.delimiter.feed(payload, matched_)) {
    // Before its last octet passes it must be sure that nothing follows.
    if (!framing_.keep || *end < payload.size() || !run.ends) return fail(kHoldsIt);
    return result;
  }
  if (!run.ends) return result;
  if (!framing_.delimiter.ends_after(matched_)) return fail(kHoldsIt);
  run.content = framing_.delimiter.octets();
  return result;
}

// ---- up, with a length -------------------------------------------------------------------------------------------------

WsToLengths::WsToLengths(const FramingRules& rules, const TcpFraming& framing)
    : framer_(bounded(rules, framing)), framing_(framing) {}

Result<Run> WsToLengths::next(MutableBytes bytes) {
  bool last = false;
  if (holding_ && framer_.at_frame_boundary()) {
    // The header of the last fragment completes the length: it is covered by itself, and what was kept goes with it.
    const auto header = FrameHeader::decode(bytes);
    if (header && header->fin && header->opcode == kContinuation) {
      last = true;
      bytes = bytes.first(header->size);
    }
  }
  Result<Run> result = framer_.next_unmasked(bytes);
  if (!result || result->size == 0 || result->control) return result;
  Run& run = *result;
  const std::uint64_t frame = run.payload + framer_.left();  // of the frame at hand, from here on
  if (run.begins) {
    held_.reset();
    holding_ = !framer_.fin();
    if (!holding_) run.prefix_size = static_cast<std::uint8_t>(framing_.length.encode(frame, run.prefix.data()));
  }
  if (last) {
    holding_ = false;
    const std::size_t held = held_ ? held_->size() : 0;
    run.prefix_size = static_cast<std::uint8_t>(framing_.length.encode(held + frame, run.prefix.data()));
    if (held_) run.content = *held_;
    return result;
  }
  if (!holding_) return result;
  const std::size_t kept = held_ ? held_->size() : 0;
  if (frame > kMostHeld - kept) {
    return fail(Errc::too_big, Side::client, "fragments before the last one are over what is kept of a message");
  }
  if (run.payload > 0) {
    if (!held_) held_ = std::make_unique<std::vector<std::uint8_t>>();
    const Bytes payload = bytes.subspan(run.skip, run.payload);
    held_->insert(held_->end(), payload.begin(), payload.end());
  }
  run.skip = run.size;
  return result;
}

// ---- down --------------------------------------------------------------------------------------------------------------

FramesToWs::FramesToWs(const TcpFraming& framing, std::uint8_t opcode)
    : framing_(framing), wanted_(opcode), opcode_(opcode) {}

Result<Run> FramesToWs::next(MutableBytes bytes) {
  if (bytes.empty()) return Run{};
  const Piece piece = TRY(piece_of(bytes));
  if (piece.none) return Run{};
  return dress(piece, bytes.subspan(piece.before, piece.payload));
}

Result<FramesToWs::Piece> FramesToWs::piece_of(Bytes bytes) const {
  return framing_.type == TcpFraming::Type::delimiter ? delimited(bytes) : counted(bytes);
}

Result<FramesToWs::Piece> FramesToWs::delimited(Bytes bytes) const {
  const Delimiter& delimiter = framing_.delimiter;
  const std::size_t kept = framing_.keep ? delimiter.size() : 0;
  const std::uint64_t room = framing_.max_frame - std::min(covered_, framing_.max_frame);
  const auto at = delimiter.find(bytes);
  Piece piece;
  piece.payload = at ? *at : bytes.size() - delimiter.cut_at_end(bytes);
  if (piece.payload > room) return fail(kTooBig);
  piece.last = at.has_value();
  piece.none = !at && piece.payload == 0;
  if (at) {
    piece.payload += kept;
    piece.after = delimiter.size() - kept;
  }
  return piece;
}

Result<FramesToWs::Piece> FramesToWs::counted(Bytes bytes) const {
  Piece piece;
  std::uint64_t length = left_;
  if (!inside_) {
    const LengthPrefix::Decoded prefix = framing_.length.decode(bytes);
    if (prefix.kind == LengthPrefix::Decoded::Kind::bad) {
      return fail(Errc::tcp_frame_bad, Side::upstream, "a length of the server is none");
    }
    if (prefix.kind == LengthPrefix::Decoded::Kind::more) return piece;
    if (prefix.length > framing_.max_frame) return fail(kTooBig);
    piece.before = prefix.size;
    length = prefix.length;
  }
  piece.payload = static_cast<std::size_t>(std::min<std::uint64_t>(length, bytes.size() - piece.before));
  piece.left = length - piece.payload;
  piece.last = piece.left == 0;
  piece.none = piece.payload == 0 && !piece.last;
  return piece;
}

// The kind of its message, and what of the piece may go now.
Result<Run> FramesToWs::dress(const Piece& piece, Bytes payload) {
  using enum TcpFraming::InvalidText;
  if (!inside_) {
    opcode_ = wanted_;
    utf8_.reset();
    if (wanted_ == kText && framing_.invalid_text == binary) {
      if (!piece.last && payload.size() < kMostJudged) return Run{};
      const std::size_t cut = piece.last ? 0 : cut_code_point(payload);
      if (!valid_utf8(payload.first(payload.size() - cut))) opcode_ = kBinary;
    }
  }
  if (opcode_ == kText && framing_.invalid_text == replace) return this->replace(piece, payload);
  if (opcode_ == kText && (!utf8_.feed(payload) || (piece.last && !utf8_.complete()))) return fail(kNotText);
  return cover(piece, payload.size(), true);
}

Result<Run> FramesToWs::replace(const Piece& piece, Bytes payload) {
  const std::size_t good = valid_utf8_prefix(payload);
  if (good > 0 || payload.empty()) return cover(piece, good, good == payload.size());
  std::array<std::uint8_t, kReplacements * kReplacement.size()> text;
  std::size_t put = 0;
  const std::size_t bad = replace_invalid(payload, piece.last, text.data(), put);
  if (bad == 0) return Run{};  // a character whose rest has not come
  Run run = cover(piece, bad, bad == payload.size());
  run.skip = run.size - run.tail;
  FrameHeader header;
  header.fin = run.ends;
  header.opcode = run.begins ? opcode_ : std::uint8_t{kContinuation};
  header.length = put;
  run.prefix_size = static_cast<std::uint8_t>(header.encode(run.prefix.data()));
  std::copy_n(text.begin(), put, run.prefix.begin() + run.prefix_size);
  run.prefix_size = static_cast<std::uint8_t>(run.prefix_size + put);
  return run;
}

// One WebSocket frame of the first `taken` octets of the payload; `whole`: those are all of it, so that what follows the
// payload goes, too.
Run FramesToWs::cover(const Piece& piece, std::size_t taken, bool whole) {
  Run run;
  if (taken == 0 && !(whole && piece.last)) return run;
  run.begins = !inside_;
  run.ends = whole && piece.last;
  run.opcode = opcode_;
  run.skip = piece.before;
  run.payload = taken;
  run.tail = static_cast<std::uint8_t>(whole ? piece.after : 0);
  run.size = piece.before + taken + run.tail;
  FrameHeader header;
  header.fin = run.ends;
  header.opcode = run.begins ? opcode_ : std::uint8_t{kContinuation};
  header.length = taken;
  run.prefix_size = static_cast<std::uint8_t>(header.encode(run.prefix.data()));
  inside_ = !run.ends;
  covered_ = run.ends ? 0 : covered_ + taken;
  left_ = piece.left + (piece.payload - taken);
  return run;
}

std::size_t replace_invalid(Bytes octets, bool ends, std::uint8_t* out, std::size_t& put) {
  std::size_t bad = 0;
  put = 0;
  while (put < kReplacements * kReplacement.size() && bad < octets.size()) {
    const Bytes rest = octets.subspan(bad);
    if (valid_utf8_prefix(rest.first(std::min<std::size_t>(rest.size(), 4))) > 0) break;
    if (!ends && cut_code_point(rest) == rest.size()) break;
    bad += invalid_subpart(rest);
    std::ranges::copy(kReplacement, out + put);
    put += kReplacement.size();
  }
  return bad;
}

}  // namespace sluice::ws
