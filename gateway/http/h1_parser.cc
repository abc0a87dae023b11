#include "http/h1_parser.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "http/octets.h"

namespace sluice::http {

namespace {

// RFC 9112 §2.3; '0' stands for any digit.
constexpr std::string_view kVersionShape = "HTTP/0.0";

// Content-Length = 1*DIGIT (RFC 9110 §8.6), at most 2^63-1 so that no signed arithmetic behind us overflows.
std::optional<std::uint64_t> read_length(std::string_view text) {
  if (!all_octets(text, kDigit)) return std::nullopt;
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc{} || length > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return length;
}

struct BodyFields {
  std::size_t lengths = 0;
  std::size_t codings = 0;
  std::string_view length;
  std::string_view coding;
};

BodyFields find_body_fields(const Head& head) {
  BodyFields found;
  for (const Field& field : head.fields) {
    if (same_name(field.name, "content-length")) {
      ++found.lengths;
      found.length = field.value;
    } else if (same_name(field.name, "transfer-encoding")) {
      ++found.codings;
      found.coding = field.value;
    }
  }
  return found;
}

// RFC 9112 §6.3 with every doubt refused.
Result<BodyLength> body_of(const Head& head, Side side) {
  const BodyFields found = find_body_fields(head);
  const auto refuse = [side](Errc code, const char* detail) {
    return fail(side == Side::upstream ? Errc::be_bad_head : code, side, detail);
  };
  if (found.codings > 0) {
    if (found.lengths > 0) return refuse(Errc::framing, "Transfer-Encoding beside Content-Length");
    if (head.minor_version == 0) return refuse(Errc::framing, "Transfer-Encoding in HTTP/1.0");
    if (found.codings > 1 || !same_name(found.coding, "chunked")) {
      return refuse(Errc::bad_transfer_encoding, "Transfer-Encoding other than chunked");
    }
    return BodyLength{BodyLength::Kind::chunked, 0};
  }
  if (found.lengths == 0) return BodyLength{};
  if (found.lengths > 1) return refuse(Errc::framing, "more than one Content-Length");
  const auto length = read_length(found.length);
  if (!length) return refuse(Errc::framing, "Content-Length is not a number of octets");
  return BodyLength{BodyLength::Kind::length, *length};
}

}  // namespace

Result<std::size_t> HeadParser::parse(Bytes all, Head& out) {
  check(all.size() >= seen_, "a head never shrinks between two calls");
  const Bytes allowed = all.first(std::min(all.size(), limits_.head));
  while (seen_ < allowed.size()) {
    if (const auto moved = step(allowed); !moved) return std::unexpected(moved.error());
    if (state_ == State::done) {
      const std::size_t size = seen_;
      fill(as_text(all.first(size)), out);
      *this = HeadParser(kind_, limits_);
      return size;
    }
  }
  if (seen_ >= limits_.head) return refuse(Errc::head_too_large, "head over its limit");
  return 0;
}

std::unexpected<Error> HeadParser::refuse(Errc code, const char* detail) const {
  return kind_ == Kind::request ? fail(code, Side::client, detail) : fail(Errc::be_bad_head, Side::upstream, detail);
}

// Where the content of this line must have ended.
std::size_t HeadParser::line_room() const { return line_start_ + (first_line_ ? limits_.line : limits_.field); }

// Moves over octets of the class, not beyond what the line may hold.
void HeadParser::run(Bytes all, unsigned octet_class) {
  const std::size_t stop = std::min(all.size(), line_room());
  while (seen_ < stop && octet_is(all[seen_], octet_class)) ++seen_;
}

// One octet, one run of octets or one change of state. A line feed is legal in the *_end states alone.
Result<void> HeadParser::step(Bytes all) {
  const std::uint8_t octet = all[seen_];
  switch (state_) {
    case State::blank_end:
    case State::line_end:
    case State::head_end:
      // RFC 9112 §2.2: a CR that no LF follows is refused, never taken for white space.
      if (octet != '\n') return refuse(Errc::framing, "bare CR");
      ++seen_;
      line_start_ = part_start_ = seen_;
      first_line_ = state_ == State::blank_end;
      state_ = state_ == State::blank_end  ? State::method
               : state_ == State::line_end ? State::field_start
                                           : State::done;
      return {};
    case State::field_start:
    case State::name:
    case State::value:
      return step_field(all, octet);
    default:
      return step_start_line(all, octet);
  }
}

// The octet that ends or continues a part: one that fits leads to the next state, all others are errors.
Result<void> HeadParser::pass(std::uint8_t octet, bool fits, State next, Errc otherwise, const char* detail) {
  if (seen_ >= line_room() && octet != '\r') {
    return first_line_ ? refuse(Errc::uri_too_long, "first line over its limit")
                       : refuse(Errc::head_too_large, "field line over its limit");
  }
  if (octet == '\n') return refuse(Errc::framing, "bare LF");
  if (!fits) return refuse(otherwise, detail);
  state_ = next;
  part_start_ = ++seen_;
  return {};
}

Result<void> HeadParser::step_start_line(Bytes all, std::uint8_t octet) {
  const bool request = kind_ == Kind::request;
  switch (state_) {
    case State::start:
      // RFC 9112 §2.2: one empty line before a request line is forgiven (a trailing CRLF after the last body).
      if (request && octet == '\r') {
        ++seen_;
        state_ = State::blank_end;
      } else {
        state_ = request ? State::method : State::version;
      }
      return {};
    case State::method:
    case State::target: {
      const bool method = state_ == State::method;
      run(all, method ? kToken : kTarget);
      if (seen_ == all.size()) return {};
      const bool fits = all[seen_] == ' ' && seen_ > part_start_;
      return pass(all[seen_], fits, method ? State::target : State::version, Errc::bad_request_line,
                  method ? "method is not a token" : "request target missing or with a bad octet");
    }
    case State::version: {
      const char shape = kVersionShape[seen_ - part_start_];
      const bool fits = shape == '0' ? octet_is(octet, kDigit) : octet == static_cast<std::uint8_t>(shape);
      const bool last = seen_ - part_start_ + 1 == kVersionShape.size();
      const std::size_t part = part_start_;
      const auto moved = pass(octet, fits, last ? State::version_end : State::version, Errc::bad_request_line,
                              "malformed HTTP version");
      part_start_ = part;
      return moved;
    }
    case State::version_end: {
      const bool fits = octet == static_cast<std::uint8_t>(request ? '\r' : ' ');
      const bool known = all[seen_ - 3] == '1' && (all[seen_ - 1] == '0' || all[seen_ - 1] == '1');
      if (fits && !known) return refuse(Errc::bad_version, "HTTP version other than 1.0 and 1.1");
      return pass(octet, fits, request ? State::line_end : State::status, Errc::bad_request_line,
                  "octets behind the HTTP version");
    }
    case State::status: {
      const std::size_t at = seen_ - part_start_;
      const std::size_t part = part_start_;
      // RFC 9110 §15: 100 to 599; there are no other classes.
      const bool fits = octet_is(octet, kDigit) && (at > 0 || (octet >= '1' && octet <= '5'));
      const auto moved = pass(octet, fits, at == 2 ? State::status_end : State::status, Errc::be_bad_head,
                              "malformed status code");
      part_start_ = part;
      return moved;
    }
    case State::status_end:
      // RFC 9112 §4 wants the space even before an empty reason; without it the line is as unambiguous, and seen.
      return pass(octet, octet == ' ' || octet == '\r', octet == '\r' ? State::line_end : State::reason,
                  Errc::be_bad_head, "malformed status code");
    default:
      run(all, kContent);
      if (seen_ == all.size()) return {};
      return pass(all[seen_], all[seen_] == '\r', State::line_end, Errc::be_bad_head,
                  "control octet in the reason phrase");
  }
}

Result<void> HeadParser::step_field(Bytes all, std::uint8_t octet) {
  if (state_ == State::field_start) {
    if (octet == '\r') {
      ++seen_;
      state_ = State::head_end;
      return {};
    }
    // RFC 9112 §2.2 and §5.2: white space here is obs-fold, or an attempt to hide the first field.
    if (octet == ' ' || octet == '\t') return refuse(Errc::framing, "folded field line");
    if (octet == '\n') return refuse(Errc::framing, "bare LF");
    if (fields_ >= limits_.fields) return refuse(Errc::head_too_large, "too many fields");
    ++fields_;
    state_ = State::name;
    return {};
  }
  const bool name = state_ == State::name;
  run(all, name ? kToken : kContent);
  if (seen_ == all.size()) return {};
  if (name) {
    // RFC 9112 §5.1: no white space between name and colon. An empty name fails at its colon.
    const bool fits = all[seen_] == ':' && seen_ > part_start_;
    return pass(all[seen_], fits, State::value, Errc::bad_header, "field name is not a token");
  }
  return pass(all[seen_], all[seen_] == '\r', State::line_end, Errc::bad_header, "control octet in a field value");
}

// Cuts a head that was validated to its last octet: every separator looked for is there.
void HeadParser::fill(std::string_view head, Head& out) const {
  out.clear();
  if (head.starts_with("\r\n")) head.remove_prefix(2);
  const auto take_line = [&head] {
    const std::size_t end = head.find('\r');
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    return line;
  };
  const std::string_view first = take_line();
  if (kind_ == Kind::request) {
    const std::size_t space = first.find(' ');
    out.method = first.substr(0, space);
    out.target = first.substr(space + 1, first.size() - space - 2 - kVersionShape.size());
    out.minor_version = first.back() - '0';
  } else {
    out.minor_version = first[kVersionShape.size() - 1] - '0';
    const std::string_view digits = first.substr(kVersionShape.size() + 1, 3);
    out.status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    out.reason = trim(first.substr(std::min(first.size(), kVersionShape.size() + 5)));
  }
  out.fields.reserve(fields_);
  for (std::string_view line = take_line(); !line.empty(); line = take_line()) {
    const std::size_t colon = line.find(':');
    out.fields.push_back({line.substr(0, colon), trim(line.substr(colon + 1))});
  }
}

Result<BodyLength> request_body(const Head& head) { return body_of(head, Side::client); }

Result<BodyLength> response_body(const Head& head, std::string_view method) {
  const BodyLength body = TRY(body_of(head, Side::upstream));
  if (head.status < 200 || head.status == 204) {
    if (body.kind == BodyLength::Kind::chunked || body.length > 0) {
      return fail(Errc::be_bad_head, Side::upstream, "body declared on a response that has none");
    }
    return BodyLength{};
  }
  const bool tunnel = method == "CONNECT" && head.status < 300;
  if (method == "HEAD" || head.status == 304 || tunnel) return BodyLength{};
  if (body.kind == BodyLength::Kind::none) return BodyLength{BodyLength::Kind::until_close, 0};
  return body;
}

}  // namespace sluice::http
