// HeadParser: strict incremental parser of one HTTP/1.1 head (RFC 9112 §2-5), sans I/O. It keeps only how far it has
// looked: the bytes stay with the caller, who shows them all again, grown at the end, at each call.
#pragma once

#include <cstddef>

#include "http/head.h"

namespace sluice::http {

class HeadParser {
 public:
  enum class Kind : std::uint8_t { request, response };
  explicit HeadParser(Kind kind, HeadLimits limits = {}) : kind_(kind), limits_(limits) {}

  // `all` starts at the same octet in every call. Returns the octets that the head takes (including its empty line) with
  // `out` filled, or 0 when more are needed. An Error is found as early as its octet is seen (a bad octet in the first
  // line does not wait for the empty line). Errors: bad_request_line, bad_version (505: a well-formed version other
  // than HTTP/1.0 and 1.1), uri_too_long, bad_header, framing (bare CR or LF, obs-fold), head_too_large; for a
  // response be_bad_head with Side::upstream throughout. One empty line (CRLF) before a request line is skipped.
  Result<std::size_t> parse(Bytes all, Head& out);

 private:
  Kind kind_;
  HeadLimits limits_;
  std::size_t seen_ = 0;        // octets already validated
  std::size_t line_start_ = 0;  // where the unfinished line begins
  std::size_t lines_ = 0;
};

// Message framing of a request (RFC 9112 §6, security.md T01): Content-Length with Transfer-Encoding, lists, signs,
// duplicates or more than 2^63-1 → framing; a Transfer-Encoding other than exactly "chunked" → bad_transfer_encoding;
// Transfer-Encoding with HTTP/1.0 → framing.
Result<BodyLength> request_body(const Head& head);
// The same of a response to `method`; errors are be_bad_head, Side::upstream.
Result<BodyLength> response_body(const Head& head, std::string_view method);

}  // namespace sluice::http
