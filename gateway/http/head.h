// Head: one HTTP/1.1 request or response head as views into the bytes that it was parsed from. The views die when those
// bytes are consumed or move. Strict by RFC 9112: what is doubtful is an Error, never repaired.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace sluice::http {

struct Field {
  std::string_view name;   // as received; compare with same_name()
  std::string_view value;  // without surrounding white space
};

// ASCII case-insensitive equality, as field names and most tokens compare.
bool same_letters(std::string_view a, std::string_view b);  // of one size
inline bool same_name(std::string_view a, std::string_view b) { return a.size() == b.size() && same_letters(a, b); }

// Whether a comma-separated list (RFC 9110 §5.6.1) holds the token, ASCII case-insensitively.
bool has_token(std::string_view list, std::string_view token);

struct Head {
  // Request line (RFC 9112 §3); empty for a response.
  std::string_view method;
  std::string_view target;
  // Status line (§4); 0 for a request.
  int status = 0;
  std::string_view reason;
  int minor_version = 1;  // HTTP/1.<minor>: 0 or 1
  std::vector<Field> fields;

  // First value of the name, or nullptr. Names compare ASCII case-insensitively.
  const std::string_view* find(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  // Whether any of the fields of that name lists the token.
  bool lists(std::string_view name, std::string_view token) const;
  void clear();
};

struct HeadLimits {
  std::size_t line = 8192;         // request line, octets → uri_too_long
  std::size_t head = 32 * 1024;    // the whole head → head_too_large
  std::size_t fields = 100;        // → head_too_large
  std::size_t field = 8 * 1024;    // one field line → head_too_large
};

// For how long the other side keeps an idle connection, by its Keep-Alive field ("timeout=5"); none when it does not say.
std::optional<Duration> keep_alive_timeout(const Head& head);

// How the body that follows a head is delimited (RFC 9112 §6.3).
struct BodyLength {
  enum class Kind : std::uint8_t { none, length, chunked, until_close };
  Kind kind = Kind::none;
  std::uint64_t length = 0;
};

}  // namespace sluice::http
