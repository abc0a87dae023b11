// TcpFraming: how the messages of clients and the octets of a TCP server correspond, as configured, and the two codecs
// that both directions share: delimiters and lengths. No I/O, no state of a connection.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace sluice::ws {

// An octet string that ends a frame, found in one pass over octets that come in pieces (Knuth, Morris, Pratt).
class Delimiter {
 public:
  static constexpr std::size_t kMost = 64;  // octets

  Delimiter() = default;
  explicit Delimiter(std::string octets);  // 1 to kMost of them

  std::size_t size() const { return octets_.size(); }
  Bytes octets() const { return as_bytes(octets_); }
  // Feeds on `piece`. `matched`: octets of the delimiter at the end of what was fed so far. Stops behind the first whole
  // delimiter: how much of `piece` was read then; nullopt: none ended in it.
  std::optional<std::size_t> feed(Bytes piece, std::size_t& matched) const;
  // Whether whoever reads on would find the delimiter that is put behind such octets where it stands, and no sooner.
  bool ends_after(std::size_t matched) const;
  // Octets at the end of `bytes` that may be the beginning of one that is not whole yet.
  std::size_t cut_at_end(Bytes bytes) const;
  // Where the first one begins.
  std::optional<std::size_t> find(Bytes bytes) const;

 private:
  std::string octets_;
  std::array<std::uint8_t, kMost> fallback_{};  // [i]: the longest beginning that is also an end of the first i + 1 octets
};

// The number in front of a frame.
struct LengthPrefix {
  enum class Kind : std::uint8_t { u8, u16, u24, u32, u64, varint };
  static constexpr std::size_t kMost = 10;  // octets

  Kind kind = Kind::u32;
  bool little_endian = false;
  bool counted = false;  // the number counts its own octets too; never with varint

  // Octets of a fixed width; 0 for varint.
  std::size_t width() const;
  // The longest frame that it can announce.
  std::uint64_t longest() const;
  // Writes the prefix of a frame of `length` payload octets, which longest() allows; returns its size.
  std::size_t encode(std::uint64_t length, std::uint8_t* out) const;

  struct Decoded {
    enum class Kind : std::uint8_t { more, whole, bad } kind = Kind::more;
    std::uint64_t length = 0;  // of the payload
    std::size_t size = 0;      // of the prefix
  };
  // bad: a counted length less than its own size; a varint that is not minimal, longer than 10 octets, or over 64 bits.
  Decoded decode(Bytes bytes) const;
};

struct TcpFraming {
  enum class Type : std::uint8_t { raw, delimiter, length };
  // What becomes of a text message to the client whose octets are no UTF-8.
  enum class InvalidText : std::uint8_t { close, binary, replace };

  Type type = Type::raw;
  InvalidText invalid_text = InvalidText::close;
  bool keep = false;  // the delimiter stays at the end of the messages
  Delimiter delimiter;
  LengthPrefix length;
  std::uint64_t max_frame = 1024 * 1024;  // payload octets of one frame, each way

  bool framed() const { return type != Type::raw; }
  // The longest message of a client that can become one frame.
  std::uint64_t longest() const;
};

}  // namespace sluice::ws
