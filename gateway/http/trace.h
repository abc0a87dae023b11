// W3C Trace Context (Level 1): whose traceparent and tracestate go on, and a fresh traceparent.
#pragma once

#include <string>
#include <string_view>

#include "http/head.h"

namespace sluice::http {

bool valid_traceparent(std::string_view value);  // §3.2
bool valid_tracestate(std::string_view value);   // §3.3: one field line

struct TraceFields {
  bool parent = false;  // the head holds exactly one traceparent, and it is valid
  bool state = false;   // beside it, every tracestate line is valid
};
TraceFields trace_fields(const Head& head);

// The trace of a request: the head's own where the peer is trusted and it is valid, else a new one. A client that is not
// trusted could otherwise write into the traces of others, or have everything sampled.
std::string request_traceparent(const Head& head, bool trusted);

// A new trace. Sampled, so that a backend which follows the parent's decision records what it would record without one.
std::string fresh_traceparent();

// `count` random octets as 2 * count lower-case hex digits.
std::string random_hex(std::size_t count);

}  // namespace sluice::http
