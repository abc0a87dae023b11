#include "http/h1_body.h"

#include <algorithm>

#include "http/octets.h"

namespace sluice::http {

namespace {

constexpr unsigned kMostDigits = 16;
constexpr unsigned kMostExtension = 64;
constexpr std::uint32_t kMostTrailer = 8 * 1024;

}  // namespace

std::unexpected<Error> ChunkedDecoder::refuse(const char* detail) const {
  return fail(side_ == Side::upstream ? Errc::be_bad_head : Errc::framing, side_, detail);
}

Result<ChunkedDecoder::Piece> ChunkedDecoder::next(Bytes bytes) {
  Piece piece;
  if (state_ == State::data) {
    piece.size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    piece.data = bytes.first(piece.size);
    left_ -= piece.size;
    if (left_ == 0) state_ = State::data_cr;
    return piece;
  }
  while (piece.size < bytes.size() && state_ != State::data && state_ != State::done) {
    TRY_VOID(step(bytes[piece.size]));
    ++piece.size;
  }
  return piece;
}

Result<void> ChunkedDecoder::step(std::uint8_t octet) {
  switch (state_) {
    case State::size:
    case State::extension:
    case State::size_end: return step_size(octet);
    case State::data_cr:
      if (octet != '\r') return refuse("RFC 9112 7.1: chunk longer than its size");
      state_ = State::data_lf;
      return {};
    case State::data_lf:
      if (octet != '\n') return refuse("RFC 9112 7.1: bare CR behind a chunk");
      state_ = State::size;
      digits_ = extension_ = 0;
      return {};
    case State::trailer_start:
    case State::trailer_name:
    case State::trailer_value:
    case State::trailer_lf:
    case State::end_lf: return step_trailer(octet);
    case State::data:
    case State::done: break;
  }
  check(false, "an octet that is not of a line");
  return {};
}

// chunk-size [ chunk-ext ] CRLF
Result<void> ChunkedDecoder::step_size(std::uint8_t octet) {
  if (state_ == State::size_end) {
    if (octet != '\n') return refuse("RFC 9112 2.2: bare CR in a size line");
    state_ = left_ == 0 ? State::trailer_start : State::data;
    return {};
  }
  if (octet == '\r' && digits_ > 0) {
    state_ = State::size_end;
    return {};
  }
  if (state_ == State::size) {
    if (octet_is(octet, kHex)) {
      if (digits_ == kMostDigits) return refuse("chunk size of more than 16 digits");
      left_ = (digits_ == 0 ? 0 : left_ << 4) + static_cast<unsigned>(hex_value(static_cast<char>(octet)));
      ++digits_;
      return {};
    }
    if (digits_ == 0 || octet != ';') return refuse("RFC 9112 7.1: malformed chunk size");
    state_ = State::extension;
  }
  // Nobody needs extensions; quoted ones have hidden line breaks from other parsers.
  if (octet <= 0x20 || octet >= 0x7f || octet == '"') return refuse("RFC 9112 7.1.1: octet in a chunk extension");
  if (++extension_ > kMostExtension) return refuse("chunk extensions over 64 octets");
  return {};
}

// trailer-section CRLF (RFC 9112 §7.1.2)
Result<void> ChunkedDecoder::step_trailer(std::uint8_t octet) {
  if (++trailer_ > kMostTrailer) return refuse("trailer section over 8 KiB");
  switch (state_) {
    case State::trailer_start:
      if (octet == '\r') {
        state_ = State::end_lf;
        return {};
      }
      [[fallthrough]];
    case State::trailer_name:
      if (octet == ':' && state_ == State::trailer_name) {
        state_ = State::trailer_value;
        return {};
      }
      if (!octet_is(octet, kToken)) return refuse("RFC 9112 5.1: octet in the name of a trailer");
      state_ = State::trailer_name;
      return {};
    case State::trailer_value:
      if (octet == '\r') {
        state_ = State::trailer_lf;
        return {};
      }
      if (!octet_is(octet, kContent)) return refuse("RFC 9110 5.5: octet in the value of a trailer");
      return {};
    default:
      if (octet != '\n') return refuse("RFC 9112 2.2: bare CR in the trailer section");
      state_ = state_ == State::end_lf ? State::done : State::trailer_start;
      return {};
  }
}

Result<ChunkedDecoder::Piece> BodyReader::next(Bytes bytes) {
  using Kind = BodyLength::Kind;
  ChunkedDecoder::Piece piece;
  switch (kind_) {
    case Kind::none: break;
    case Kind::chunked: piece = TRY(chunks_.next(bytes)); break;
    case Kind::until_close: piece = {bytes.size(), bytes}; break;
    case Kind::length:
      piece.size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      piece.data = bytes.first(piece.size);
      left_ -= piece.size;
      break;
  }
  octets_ += piece.data.size();
  return piece;
}

bool BodyReader::done() const {
  using Kind = BodyLength::Kind;
  switch (kind_) {
    case Kind::none: return true;
    case Kind::chunked: return chunks_.done();
    case Kind::until_close: return ended_;
    case Kind::length: return left_ == 0;
  }
  return true;
}

bool BodyReader::end() {
  if (kind_ == BodyLength::Kind::until_close) ended_ = true;
  return done();
}

}  // namespace sluice::http
