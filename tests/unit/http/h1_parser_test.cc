#include "http/h1_parser.h"

#include <gtest/gtest.h>

#include "unit/http/heads.h"

namespace sluice::http {
namespace {

constexpr std::string_view kUpgrade =
    "GET /ws?a=1 HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

// Fails with `code` at the octet `at` of `text` however it is cut: not an octet earlier, not an octet later, and the
// same again when it is asked again.
void expect_error_at(std::string_view text, std::size_t at, Errc code, Kind kind = Kind::request,
                     HeadLimits limits = {}) {
  const Side side = kind == Kind::request ? Side::client : Side::upstream;
  for (std::size_t first = 0; first <= text.size(); ++first) {
    const Parsed parsed = parse_from(text, kind, first, limits);
    ASSERT_FALSE(parsed.result) << text;
    EXPECT_EQ(row(parsed.result.error().code).name, row(code).name) << text;
    EXPECT_EQ(parsed.result.error().side, side);
    EXPECT_EQ(parsed.shown, std::max(first, at + 1)) << text;
  }
  HeadParser parser(kind, limits);
  Head head;
  for (int again = 0; again < 2; ++again) EXPECT_EQ(code_of(parser.parse(as_bytes(text), head)), code) << text;
}

// The offending octet is the last one.
void expect_error(std::string_view text, Errc code, Kind kind = Kind::request, HeadLimits limits = {}) {
  expect_error_at(text, text.size() - 1, code, kind, limits);
}

void expect_bad_head(std::string_view text) { expect_error(text, Errc::be_bad_head, Kind::response); }

TEST(HeadParser, ReadsAnUpgradeRequestCutAtEveryOctet) {
  const std::string text = std::string(kUpgrade) + "tail";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    const Parsed parsed = parse_from(text, Kind::request, first);
    ASSERT_TRUE(parsed.result);
    ASSERT_EQ(*parsed.result, kUpgrade.size());
    EXPECT_EQ(parsed.shown, std::max(first, kUpgrade.size()));
    EXPECT_EQ(parsed.head.method, "GET");
    EXPECT_EQ(parsed.head.target, "/ws?a=1");
    EXPECT_EQ(parsed.head.minor_version, 1);
    EXPECT_EQ(parsed.head.status, 0);
    ASSERT_EQ(parsed.head.fields.size(), 5u);
    EXPECT_EQ(parsed.head.fields[0].name, "Host");
    EXPECT_EQ(parsed.head.fields[0].value, "gw.test");
    EXPECT_EQ(parsed.head.fields[4].value, "dGhlIHNhbXBsZSBub25jZQ==");
  }
}

TEST(HeadParser, ReadsResponsesCutAtEveryOctet) {
  const std::string_view text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX:\r\n\r\n";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    const Parsed parsed = parse_from(text, Kind::response, first);
    ASSERT_TRUE(parsed.result);
    ASSERT_EQ(*parsed.result, text.size());
    EXPECT_EQ(parsed.head.status, 101);
    EXPECT_EQ(parsed.head.reason, "Switching Protocols");
    ASSERT_EQ(parsed.head.fields.size(), 2u);
    EXPECT_EQ(parsed.head.fields[1].value, "");
  }
}

TEST(HeadParser, ViewsFollowTheBytesThatTheLastCallShowed) {
  HeadParser parser(Kind::request);
  Head head;
  const std::string whole(kUpgrade);
  {
    const std::string early = whole.substr(0, 40);
    ASSERT_EQ(parser.parse(as_bytes(early), head), 0u);
  }
  ASSERT_EQ(parser.parse(as_bytes(whole), head), whole.size());
  EXPECT_EQ(head.method.data(), whole.data());
}

TEST(HeadParser, IsAsNewAfterAHead) {
  HeadParser parser(Kind::request);
  Head head;
  ASSERT_EQ(parser.parse(as_bytes("GET /1 HTTP/1.1\r\nA: 1\r\n\r\n"), head), 25u);
  EXPECT_EQ(parser.seen(), 0u);
  ASSERT_EQ(parser.parse(as_bytes("\r\nPOST /2 HTTP/1.0\r\n\r\n"), head), 22u);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.minor_version, 0);
  EXPECT_TRUE(head.fields.empty());
}

TEST(HeadParser, TrimsValuesAndKeepsWhatStandsInside) {
  const Head head = head_of("GET / HTTP/1.1\r\nA: \t b \t c\t \r\nB:d:e\r\nC: \r\nD:\xc3\xa9\x80\xff\r\n\r\n");
  ASSERT_EQ(head.fields.size(), 4u);
  EXPECT_EQ(head.fields[0].value, "b \t c");
  EXPECT_EQ(head.fields[1].value, "d:e");
  EXPECT_EQ(head.fields[2].value, "");
  EXPECT_EQ(head.fields[3].value, "\xc3\xa9\x80\xff");
}

TEST(HeadParser, EveryOctetIsJudgedOnce) {
  // 32 KiB one octet at a time, with all that was judged before overwritten by octets that no head may hold: whoever
  // looked back further than at the version would fail.
  constexpr std::size_t kVersionLookBack = 3;
  std::string text = "GET /" + std::string(8000, 'a') + " HTTP/1.1\r\n";
  for (int i = 0; text.size() + 600 < 32 * 1024; ++i) text += "Name-" + std::to_string(i) + ": " + std::string(500, 'v') + "\r\n";
  text += "\r\n";
  std::string shown;
  HeadParser parser(Kind::request);
  Head head;
  for (std::size_t size = 1; size < text.size(); ++size) {
    shown.assign(size, '\0');
    const std::size_t from = parser.seen() - std::min(parser.seen(), kVersionLookBack);
    std::copy(text.begin() + static_cast<long>(from), text.begin() + static_cast<long>(size),
              shown.begin() + static_cast<long>(from));
    ASSERT_EQ(parser.parse(as_bytes(shown), head), 0u) << size;
    ASSERT_GE(parser.seen() + 1, size);
  }
  ASSERT_EQ(parser.parse(as_bytes(text), head), text.size());
  EXPECT_EQ(head.target.size(), 8001u);
}

TEST(HeadParser, SkipsOneEmptyLineBeforeARequestOnly) {
  const Parsed parsed = parse_whole("\r\nGET / HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(parsed.result);
  EXPECT_EQ(*parsed.result, 20u);
  EXPECT_EQ(parsed.head.method, "GET");
  expect_error("\r\n\r", Errc::bad_request_line);
  expect_error("\n", Errc::framing);
  expect_error("\rG", Errc::framing);
  expect_bad_head("\r");
}

TEST(HeadParser, RefusesBareLineFeed) {
  expect_error("GET /ws HTTP/1.1\n", Errc::framing);
  expect_error_at("GET /ws HTTP/1.1\nHost: gw.test\n\n", 16, Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost: a\n", Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost\n", Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost: a\r\n\n", Errc::framing);
  expect_error("GET\n", Errc::framing);
  expect_error("GET /\n", Errc::framing);
  expect_error("GET / HTTP/1\n", Errc::framing);
  expect_bad_head("HTTP/1.1 200 OK\n");
  expect_bad_head("HTTP/1.1 200 OK\r\nA: b\n");
}

TEST(HeadParser, RefusesBareCarriageReturn) {
  expect_error("GET / HTTP/1.1\rH", Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost: a\rb", Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost: a\r\r", Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost: a\r\n\rX", Errc::framing);
  expect_bad_head("HTTP/1.1 200 OK\r\nX: a\rb");
}

TEST(HeadParser, RefusesFoldedLines) {
  expect_error("GET / HTTP/1.1\r\nHost: a\r\n ", Errc::framing);
  expect_error("GET / HTTP/1.1\r\nHost: a\r\n\t", Errc::framing);
  expect_error("GET / HTTP/1.1\r\n ", Errc::framing);
  expect_bad_head("HTTP/1.1 200 OK\r\nA: b\r\n ");
}

TEST(HeadParser, RefusesBadFieldNames) {
  expect_error("GET / HTTP/1.1\r\nHost ", Errc::bad_header);
  expect_error("GET / HTTP/1.1\r\nTransfer-Encoding\t", Errc::bad_header);
  expect_error("GET / HTTP/1.1\r\n:", Errc::bad_header);
  expect_error("GET / HTTP/1.1\r\nHost\r", Errc::bad_header);
  expect_error("GET / HTTP/1.1\r\nX\x80", Errc::bad_header);
  for (const char c : std::string_view("\0\x01\x7f\"(),/;<=>?@[\\]{}", 19)) {
    expect_error("GET / HTTP/1.1\r\nX" + std::string(1, c), Errc::bad_header);
    expect_error("GET / HTTP/1.1\r\n" + std::string(1, c), Errc::bad_header);
  }
  expect_bad_head("HTTP/1.1 200 OK\r\nHost ");
}

TEST(HeadParser, RefusesControlOctetsInValues) {
  for (int octet = 0; octet < 256; ++octet) {
    const std::string text = "GET / HTTP/1.1\r\nA: x" + std::string(1, static_cast<char>(octet));
    if (octet == '\r') continue;
    if (octet == '\n') {
      expect_error(text, Errc::framing);
    } else if ((octet < 0x20 && octet != '\t') || octet == 0x7f) {
      expect_error(text, Errc::bad_header);
    } else {
      EXPECT_EQ(parse_whole(text).result, 0u) << octet;
    }
  }
  expect_error("GET / HTTP/1.1\r\nTransfer-Encoding:\x0b", Errc::bad_header);
}

TEST(HeadParser, RefusesBadRequestLines) {
  expect_error(" ", Errc::bad_request_line);
  expect_error("\x16", Errc::bad_request_line);  // a TLS ClientHello on a plain port
  expect_error("GE(", Errc::bad_request_line);
  expect_error("GET  ", Errc::bad_request_line);
  expect_error("GET\t", Errc::bad_request_line);
  expect_error("GET\r", Errc::bad_request_line);
  expect_error("GET /\r", Errc::bad_request_line);  // HTTP/0.9
  expect_error("GET / \r", Errc::bad_request_line);
  expect_error("GET /  ", Errc::bad_request_line);
  expect_error("GET /a b", Errc::bad_request_line);
  expect_error("GET / HTTP/1.1 ", Errc::bad_request_line);
  expect_error("GET / HTTP/1.11", Errc::bad_request_line);
  expect_error("GET / HTTP/11", Errc::bad_request_line);
  expect_error("GET / HTTP/1.x", Errc::bad_request_line);
  expect_error("GET / h", Errc::bad_request_line);
  expect_error("GET / HTTQ", Errc::bad_request_line);
}

TEST(HeadParser, TargetHoldsVisibleAsciiOnly) {
  for (int octet = 0; octet < 256; ++octet) {
    const std::string text = "GET /a" + std::string(1, static_cast<char>(octet));
    if (octet == ' ' || (octet > 0x20 && octet < 0x7f)) {
      EXPECT_EQ(parse_whole(text).result, 0u) << octet;
    } else {
      expect_error(text, octet == '\n' ? Errc::framing : Errc::bad_request_line);
    }
  }
}

TEST(HeadParser, AnswersOtherVersionsAsSuch) {
  for (const std::string_view version : {"HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/0.1"}) {
    expect_error("GET / " + std::string(version) + "\r", Errc::bad_version);
  }
  expect_error_at("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 14, Errc::bad_version);
  EXPECT_EQ(head_of("GET / HTTP/1.0\r\n\r\n").minor_version, 0);
}

TEST(HeadParser, RefusesBadStatusLines) {
  for (const std::string_view text :
       {"G", "HTTP/1.1\r", "HTTP/1.2 ", "HTTP/2.0 ", "HTTP/1.1  ", "HTTP/1.1 0", "HTTP/1.1 6", "HTTP/1.1 2x",
        "HTTP/1.1 20\r", "HTTP/1.1 2000", "HTTP/1.1 200\t", "HTTP/1.1 200 \x01", "HTTP/1.1 200 O\x7f", "ICY"}) {
    // "ICY" fails at its first octet, "HTTP/1.1 20\r" at its last.
    const Parsed parsed = parse_from(text, Kind::response, 0);
    ASSERT_FALSE(parsed.result) << text;
    EXPECT_EQ(parsed.result.error().code, Errc::be_bad_head) << text;
    EXPECT_EQ(parsed.shown, text == "ICY" ? 1u : text.size()) << text;
  }
}

TEST(HeadParser, ReasonMayBeEmptyOrMissing) {
  EXPECT_EQ(head_of("HTTP/1.1 200 \r\n\r\n", Kind::response).reason, "");
  EXPECT_EQ(head_of("HTTP/1.0 599\r\n\r\n", Kind::response).status, 599);
  EXPECT_EQ(head_of("HTTP/1.0 404 Not\tFound \xe9\r\n\r\n", Kind::response).reason, "Not\tFound \xe9");
}

TEST(HeadParser, LimitsTheRequestLine) {
  const HeadLimits limits{.line = 20, .head = 1000, .fields = 3, .field = 10};
  const std::string fits = "GET /12345 HTTP/1.1\r\n\r\n";  // 19 octets
  EXPECT_EQ(parse_whole(fits, Kind::request, limits).result, fits.size());
  const std::string full = "GET /123456 HTTP/1.1\r\n\r\n";
  EXPECT_EQ(parse_whole(full, Kind::request, limits).result, full.size());
  expect_error("GET /1234567 HTTP/1.1", Errc::uri_too_long, Kind::request, limits);
  expect_error("GET /1234567890123456", Errc::uri_too_long, Kind::request, limits);
  expect_error("ABCDEFGHIJKLMNOPQRSTU", Errc::uri_too_long, Kind::request, limits);
  expect_error("\r\nGET /1234567 HTTP/1.1", Errc::uri_too_long, Kind::request, limits);
  expect_error("HTTP/1.1 200 890123456", Errc::be_bad_head, Kind::response, {.line = 21});
}

TEST(HeadParser, RequestLinesOf8000OctetsPass) {
  const std::string text = "GET /" + std::string(8192 - 14, 'x') + " HTTP/1.1\r\n\r\n";
  EXPECT_EQ(parse_whole(text).result, text.size());
  EXPECT_EQ(code_of(parse_whole("GET /" + std::string(8192 - 13, 'x') + " HTTP/1.1\r\n\r\n").result), Errc::uri_too_long);
}

TEST(HeadParser, LimitsOneFieldLine) {
  const HeadLimits limits{.line = 100, .head = 1000, .fields = 3, .field = 10};
  const std::string fits = "GET / HTTP/1.1\r\nName: 7890\r\n\r\n";
  EXPECT_EQ(parse_whole(fits, Kind::request, limits).result, fits.size());
  expect_error("GET / HTTP/1.1\r\nName: 78901", Errc::head_too_large, Kind::request, limits);
  expect_error("GET / HTTP/1.1\r\nNameNameNam", Errc::head_too_large, Kind::request, limits);
  expect_error("HTTP/1.1 200 OK\r\nName: 78901", Errc::be_bad_head, Kind::response, limits);
}

TEST(HeadParser, LimitsTheNumberOfFields) {
  std::string text = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 100; ++i) text += "A: b\r\n";
  EXPECT_EQ(parse_whole(text + "\r\n").result, text.size() + 2);
  EXPECT_EQ(code_of(parse_whole(text + "A").result), Errc::head_too_large);
  EXPECT_EQ(parse_whole(text).result, 0u);
}

TEST(HeadParser, LimitsTheWholeHead) {
  const std::string text = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
  EXPECT_EQ(parse_whole(text, Kind::request, {.head = text.size()}).result, text.size());
  expect_error(text.substr(0, text.size() - 1), Errc::head_too_large, Kind::request, {.head = text.size() - 1});
  std::string large = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 10; ++i) large += "A: " + std::string(4000, 'x') + "\r\n";
  EXPECT_EQ(code_of(parse_whole(large).result), Errc::head_too_large);
}

TEST(HeadParser, XForwardedForOf10000EntriesIsTooLarge) {
  std::string text = "GET / HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1";
  for (int i = 1; i < 10000; ++i) text += ", 1.1.1.1";
  EXPECT_EQ(code_of(parse_whole(text + "\r\n\r\n").result), Errc::head_too_large);
}

Result<BodyLength> request_body_of(std::string_view lines, std::string_view version = "1.1") {
  return request_body(
      head_of("POST / HTTP/" + std::string(version) + "\r\n" + std::string(lines) + "\r\n"));
}

TEST(RequestBody, ReadsTheLegalForms) {
  EXPECT_EQ(request_body_of("")->kind, BodyLength::Kind::none);
  EXPECT_EQ(request_body_of("Content-Length: 5\r\n")->length, 5u);
  EXPECT_EQ(request_body_of("Content-Length: 5\r\n")->kind, BodyLength::Kind::length);
  EXPECT_EQ(request_body_of("Content-Length: 0\r\n")->length, 0u);
  EXPECT_EQ(request_body_of("content-length: 9223372036854775807\r\n")->length, 9223372036854775807u);
  EXPECT_EQ(request_body_of("Transfer-Encoding: Chunked\r\n")->kind, BodyLength::Kind::chunked);
}

TEST(RequestBody, RefusesEveryDoubtfulLength) {
  for (const std::string_view value : {"+5", "-5", "5,5", "5, 5", "0x5", "", "5 5", "5;", "18446744073709551621",
                                       "18446744073709551616", "9223372036854775808", "5.0", "\xd9\xa5"}) {
    EXPECT_EQ(code_of(request_body_of("Content-Length: " + std::string(value) + "\r\n")), Errc::framing) << value;
  }
  EXPECT_EQ(code_of(request_body_of("Content-Length: 5\r\nContent-Length: 5\r\n")), Errc::framing);
}

TEST(RequestBody, RefusesEveryDoubtfulTransferEncoding) {
  EXPECT_EQ(code_of(request_body_of("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), Errc::framing);
  EXPECT_EQ(code_of(request_body_of("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")), Errc::framing);
  EXPECT_EQ(code_of(request_body_of("Transfer-Encoding: chunked\r\n", "1.0")), Errc::framing);
  for (const std::string_view value :
       {"xchunked", "gzip", "gzip, chunked", "chunked, chunked", "chunked,", "\"chunked\"", "identity", "chunked;a", ""}) {
    EXPECT_EQ(code_of(request_body_of("tRANSFER-eNCODING: " + std::string(value) + "\r\n")),
              Errc::bad_transfer_encoding)
        << value;
  }
  EXPECT_EQ(code_of(request_body_of("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
            Errc::bad_transfer_encoding);
}

Result<BodyLength> response_body_of(std::string_view first, std::string_view lines, std::string_view method = "GET") {
  return response_body(head_of(std::string(first) + "\r\n" + std::string(lines) + "\r\n", Kind::response), method);
}

TEST(ResponseBody, FollowsMethodAndStatus) {
  EXPECT_EQ(response_body_of("HTTP/1.1 200 OK", "")->kind, BodyLength::Kind::until_close);
  EXPECT_EQ(response_body_of("HTTP/1.1 200 OK", "Content-Length: 7\r\n")->length, 7u);
  EXPECT_EQ(response_body_of("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n")->kind, BodyLength::Kind::chunked);
  EXPECT_EQ(response_body_of("HTTP/1.1 200 OK", "Content-Length: 7\r\n", "HEAD")->kind, BodyLength::Kind::none);
  EXPECT_EQ(response_body_of("HTTP/1.1 304 x", "Content-Length: 7\r\n")->kind, BodyLength::Kind::none);
  EXPECT_EQ(response_body_of("HTTP/1.1 204 x", "")->kind, BodyLength::Kind::none);
  EXPECT_EQ(response_body_of("HTTP/1.1 101 x", "Content-Length: 0\r\n")->kind, BodyLength::Kind::none);
  EXPECT_EQ(response_body_of("HTTP/1.1 200 x", "", "CONNECT")->kind, BodyLength::Kind::none);
}

TEST(ResponseBody, RefusesWhatCouldHideAnotherResponse) {
  for (const std::string_view lines :
       {"Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5, 5\r\n", "Transfer-Encoding: gzip\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"}) {
    const auto body = response_body_of("HTTP/1.1 200 OK", lines);
    ASSERT_FALSE(body) << lines;
    EXPECT_EQ(body.error().code, Errc::be_bad_head);
    EXPECT_EQ(body.error().side, Side::upstream);
  }
  EXPECT_EQ(code_of(response_body_of("HTTP/1.1 101 x", "Content-Length: 5\r\n")), Errc::be_bad_head);
  EXPECT_EQ(code_of(response_body_of("HTTP/1.1 204 x", "Transfer-Encoding: chunked\r\n")), Errc::be_bad_head);
  EXPECT_EQ(code_of(response_body_of("HTTP/1.0 200 x", "Transfer-Encoding: chunked\r\n")), Errc::be_bad_head);
  EXPECT_EQ(code_of(response_body_of("HTTP/1.1 200 OK", "Content-Length: 5, 5\r\n", "HEAD")), Errc::be_bad_head);
}

}  // namespace
}  // namespace sluice::http
