// ChunkedDecoder and BodyReader: where a body ends, and which of the octets on the wire are its own.
//
// ChunkedDecoder: strict incremental decoder of the chunked transfer coding (RFC 9112 §7.1), sans I/O. It keeps only
// counters: the octets stay with the caller, who shows each of them once. What is doubtful is an Error, never repaired:
// a bare LF, white space around the size, more than 16 hex digits, a quote or control octet in an
// extension. Trailer fields are checked and dropped.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "http/head.h"

namespace sluice::http {

class ChunkedDecoder {
 public:
  // Whose fault a malformed body is: Errc::be_bad_head for an upstream's, Errc::framing for a client's.
  explicit ChunkedDecoder(Side side) : side_(side) {}

  struct Piece {
    std::size_t size = 0;  // octets of the input that it covers; 0: more are needed, or the body is done
    Bytes data;            // the part of them that is body; empty for a size line, a line end or a trailer
  };
  // Covers a prefix of `bytes`; call again with what is behind it until it covers nothing. After an Error the decoder must
  // not be used again.
  Result<Piece> next(Bytes bytes);

  // The last chunk and the trailer section have been covered: what follows is not of this body.
  bool done() const { return state_ == State::done; }

 private:
  // size → extension ─┐
  //   └──── size_end ─┴─▶ data → data_end → size …        (chunk of one octet or more)
  //                  └──▶ trailer_start → done            (last chunk)
  //                        └─ trailer_name → trailer_value → trailer_end ─┘
  enum class State : std::uint8_t {
    size, extension, size_end, data, data_cr, data_lf,
    trailer_start, trailer_name, trailer_value, trailer_lf, end_lf, done,
  };

  Result<void> step(std::uint8_t octet);
  Result<void> step_size(std::uint8_t octet);
  Result<void> step_trailer(std::uint8_t octet);
  std::unexpected<Error> refuse(const char* detail) const;

  std::uint64_t left_ = 0;       // size of the chunk at hand, then what is left of it
  std::uint32_t trailer_ = 0;    // octets of the trailer section so far
  Side side_;
  State state_ = State::size;
  std::uint8_t digits_ = 0;      // of the size at hand
  std::uint8_t extension_ = 0;   // octets of the extensions of the chunk at hand
};

// One body, by whatever tells its end (RFC 9112 §6.3): no body, a length, chunks, or the end of the stream.
class BodyReader {
 public:
  BodyReader(BodyLength length, Side side) : chunks_(side), left_(length.length), kind_(length.kind) {}

  // As ChunkedDecoder::next. Octets behind the body are never covered.
  Result<ChunkedDecoder::Piece> next(Bytes bytes);
  // All of it has been covered.
  bool done() const;
  // The stream has ended: true when that is the body's end, which it is then.
  bool end();
  std::uint64_t octets() const { return octets_; }  // of the body itself, so far

 private:
  ChunkedDecoder chunks_;
  std::uint64_t left_;  // of a length
  std::uint64_t octets_ = 0;
  BodyLength::Kind kind_;
  bool ended_ = false;
};

}  // namespace sluice::http
