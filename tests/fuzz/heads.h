// What both head fuzzers do: the same octets shown whole, one by one and in two pieces give the same answer, and a head that
// was read can be written and read again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"

namespace sluice::http {

struct Answer {
  Result<std::size_t> result = 0;
  Head head;
};

// Shows the first `first` octets, and then `step` more at each call.
inline Answer ask(std::string_view text, HeadParser::Kind kind, std::size_t first, std::size_t step) {
  HeadParser parser(kind);
  Answer answer;
  for (std::size_t size = std::min(first, text.size());; size = std::min(size + step, text.size())) {
    answer.result = parser.parse(as_bytes(text.substr(0, size)), answer.head);
    if (!answer.result || *answer.result > 0 || size == text.size()) return answer;
  }
}

inline void check_same(const Answer& a, const Answer& b) {
  check(a.result.has_value() == b.result.has_value(), "the cut decides about the verdict");
  if (!a.result) {
    check(a.result.error().code == b.result.error().code, "the cut decides about the error");
    return;
  }
  check(*a.result == *b.result, "the cut decides about the size");
  if (*a.result == 0) return;
  check(a.head.method == b.head.method && a.head.target == b.head.target && a.head.status == b.head.status &&
            a.head.reason == b.head.reason && a.head.minor_version == b.head.minor_version &&
            std::equal(a.head.fields.begin(), a.head.fields.end(), b.head.fields.begin(), b.head.fields.end(),
                       [](const Field& x, const Field& y) { return x.name == y.name && x.value == y.value; }),
        "the cut decides about the head");
}

// The fields of a head that was read can be written, and read back the same.
inline void check_written(const Head& head, HeadParser::Kind kind) {
  HeadWriter writer;
  if (kind == HeadParser::Kind::request) {
    writer.request(head.method, head.target);
  } else {
    writer.response(head.status);
  }
  for (const Field& field : head.fields) writer.field(field.name, field.value);
  const auto text = writer.finish();
  check(text.has_value(), "a head that was read cannot be written");
  HeadParser parser(kind, {.line = 1 << 20, .head = 1 << 20, .fields = 1000, .field = 1 << 20});
  Head again;
  const auto size = parser.parse(as_bytes(*text), again);
  check(size && *size == text->size(), "a head that was written cannot be read");
  check(again.fields.size() == head.fields.size(), "a field appeared or went");
  for (std::size_t i = 0; i < head.fields.size(); ++i) {
    check(again.fields[i].name == head.fields[i].name && again.fields[i].value == head.fields[i].value, "a field changed");
  }
}

// Reads `text` in all cuts; the head if it is one.
inline Answer read_in_all_cuts(std::string_view text, HeadParser::Kind kind) {
  Answer whole = ask(text, kind, text.size(), 1);
  check_same(whole, ask(text, kind, 0, 1));
  check_same(whole, ask(text, kind, text.size() / 2, text.size()));
  check_same(whole, ask(text, kind, 0, 7));
  if (whole.result && *whole.result > 0) check_written(whole.head, kind);
  return whole;
}

}  // namespace sluice::http
