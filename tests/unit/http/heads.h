// Shorthands for the tests of http/: heads from text, whole and cut.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "http/h1_parser.h"

namespace sluice::http {

using Kind = HeadParser::Kind;

struct Parsed {
  Result<std::size_t> result = 0;
  std::size_t shown = 0;  // octets on the table when the parser answered
  Head head;
};

// Shows the parser first `first` octets and then one more at each call; first = npos shows all at once.
inline Parsed parse_from(std::string_view text, Kind kind, std::size_t first, HeadLimits limits = {}) {
  HeadParser parser(kind, limits);
  Parsed parsed;
  for (parsed.shown = std::min(first, text.size());; ++parsed.shown) {
    parsed.result = parser.parse(as_bytes(text.substr(0, parsed.shown)), parsed.head);
    if (!parsed.result || *parsed.result > 0 || parsed.shown == text.size()) return parsed;
  }
}

inline Parsed parse_whole(std::string_view text, Kind kind = Kind::request, HeadLimits limits = {}) {
  return parse_from(text, kind, text.size(), limits);
}

// The whole head; the test fails when it is not one.
inline Head head_of(std::string_view text, Kind kind = Kind::request) {
  Parsed parsed = parse_whole(text, kind);
  EXPECT_TRUE(parsed.result) << text;
  EXPECT_GT(parsed.result.value_or(1), 0u) << text;
  return parsed.head;
}

// Head with these fields, for tests that do not care how it came.
inline Head with_fields(std::vector<Field> fields) {
  Head head;
  head.method = "GET";
  head.target = "/";
  head.fields = std::move(fields);
  return head;
}

template <typename T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::none : result.error().code;
}

}  // namespace sluice::http
