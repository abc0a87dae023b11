// HeadParser: strict incremental parser of one HTTP/1.1 head (RFC 9112 §2-5), sans I/O. It keeps only how far it has
// looked: the bytes stay with the caller, who shows them all again, grown at the end, at each call. Every octet is
// validated once, however the head is cut, and then the valid head is split into views once: linear in its size.
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

  // Octets validated so far of the head that is not finished: the next call looks at none of them again.
  std::size_t seen() const { return seen_; }

 private:
  // start → method → target → version ────────────→ line_end → field_start → name → value → line_end → …
  //         version → status → status_end → reason ─┘             └─ CR → head_end → done
  enum class State : std::uint8_t {
    start, blank_end, method, target, version, version_end, status, status_end, reason,
    line_end, field_start, name, value, head_end, done,
  };

  Result<void> step(Bytes all);
  Result<void> step_start_line(Bytes all, std::uint8_t octet);
  Result<void> step_field(Bytes all, std::uint8_t octet);
  Result<void> pass(std::uint8_t octet, bool fits, State next, Errc otherwise, const char* detail);
  std::size_t line_room() const;
  void run(Bytes all, unsigned octet_class);
  void fill(std::string_view head, Head& out) const;
  std::unexpected<Error> refuse(Errc code, const char* detail) const;

  Kind kind_;
  HeadLimits limits_;
  State state_ = State::start;
  std::size_t seen_ = 0;        // octets already validated
  std::size_t line_start_ = 0;  // where the unfinished line begins
  std::size_t part_start_ = 0;  // where the unfinished method, target, name or the like begins
  std::size_t fields_ = 0;
  bool first_line_ = true;
};

// Message framing of a request (RFC 9112 §6): Content-Length with Transfer-Encoding, lists, signs,
// duplicates or more than 2^63-1 → framing; a Transfer-Encoding other than exactly "chunked" → bad_transfer_encoding;
// Transfer-Encoding with HTTP/1.0 → framing.
Result<BodyLength> request_body(const Head& head);
// The same of a response to `method`; errors are be_bad_head, Side::upstream. A response that can have no body (to HEAD,
// 1xx, 204, 304) yields none; a 1xx or 204 that declares one all the same is an Error (RFC 9112 §6.1, RFC 9110 §8.6).
Result<BodyLength> response_body(const Head& head, std::string_view method);

}  // namespace sluice::http
