#include "http/h1_body.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace sluice::http {
namespace {

struct Decoded {
  Errc error = Errc::none;
  Side side = Side::gateway;
  bool done = false;
  std::string body;
  std::size_t covered = 0;
};

// Shows the text in pieces that end at `cuts`; the decoder sees every octet once.
Decoded decode_cut(std::string_view text, const std::vector<std::size_t>& cuts, Side side = Side::upstream) {
  ChunkedDecoder decoder(side);
  Decoded out;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t end = i < cuts.size() ? cuts[i] : text.size();
    while (true) {
      const auto piece = decoder.next(as_bytes(text.substr(out.covered, end - out.covered)));
      if (!piece) {
        out.error = piece.error().code;
        out.side = piece.error().side;
        return out;
      }
      out.body += as_text(piece->data);
      out.covered += piece->size;
      out.done = decoder.done();
      if (piece->size == 0) break;
    }
  }
  return out;
}

// However the text is cut in two, and octet by octet, the answer is the same.
Decoded decode(std::string_view text) {
  const Decoded whole = decode_cut(text, {});
  std::vector<std::size_t> every;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const Decoded two = decode_cut(text, {cut});
    EXPECT_EQ(two.error, whole.error) << text << " cut at " << cut;
    EXPECT_EQ(two.body.substr(0, whole.body.size()), whole.body) << text << " cut at " << cut;
    EXPECT_EQ(two.done, whole.done) << text << " cut at " << cut;
    if (whole.error == Errc::none) {
      EXPECT_EQ(two.covered, whole.covered) << text << " cut at " << cut;
    }
    every.push_back(cut);
  }
  EXPECT_EQ(decode_cut(text, every).error, whole.error) << text << " octet by octet";
  return whole;
}

void expect_refused(std::string_view text) {
  const Decoded out = decode(text);
  EXPECT_EQ(out.error, Errc::be_bad_head) << text;
  EXPECT_EQ(out.side, Side::upstream) << text;
  EXPECT_FALSE(out.done) << text;
}

TEST(ChunkedDecoder, JoinsChunks) {
  const Decoded out = decode("4\r\nWiki\r\nA\r\npedia in \r\n\r\n7\r\nchunks.\r\n0\r\n\r\n");
  EXPECT_EQ(out.error, Errc::be_bad_head) << "the second chunk is longer than its size";
  const Decoded good = decode("4\r\nWiki\r\nb\r\npedia in \r\n\r\n7\r\nchunks.\r\n0\r\n\r\n");
  EXPECT_EQ(good.error, Errc::none);
  EXPECT_TRUE(good.done);
  EXPECT_EQ(good.body, "Wikipedia in \r\nchunks.");
}

TEST(ChunkedDecoder, CoversNothingBehindTheBody) {
  const std::string_view body = "1\r\nx\r\n000\r\n\r\n";
  const Decoded out = decode(std::string(body) + "HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(out.done);
  EXPECT_EQ(out.body, "x");
  EXPECT_EQ(out.covered, body.size());
}

TEST(ChunkedDecoder, IsNotDoneBeforeTheLastOctet) {
  const std::string_view body = "1\r\nx\r\n0\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < body.size(); ++size) {
    const Decoded out = decode_cut(body.substr(0, size), {});
    EXPECT_EQ(out.error, Errc::none) << size;
    EXPECT_FALSE(out.done) << size;
  }
  EXPECT_TRUE(decode(body).done);
}

TEST(ChunkedDecoder, TakesSizesOfSixteenDigitsAndNoMore) {
  EXPECT_EQ(decode("0000000000000003\r\nabc\r\n0\r\n\r\n").body, "abc");
  expect_refused("00000000000000003\r\nabc\r\n0\r\n\r\n");
  const Decoded huge = decode("ffffffffffffffff\r\nabc");
  EXPECT_EQ(huge.error, Errc::none) << "nothing is allocated by a declared length";
  EXPECT_EQ(huge.body, "abc");
  expect_refused("10000000000000000\r\nabc");
}

TEST(ChunkedDecoder, RefusesMalformedSizes) {
  for (const char* text : {"\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\nx\r\n", "1 \r\nx\r\n", "1\t\r\n", "1,\r\n",
                           ";a\r\n", "1.0\r\n", "\n", "1\n", "1\rx", "1\r\r\n"}) {
    expect_refused(text);
  }
}

TEST(ChunkedDecoder, RefusesBareLineEnds) {
  expect_refused("1\nx\r\n0\r\n\r\n");
  expect_refused("1\r\nx\n0\r\n\r\n");
  expect_refused("1\r\nx\r0\r\n\r\n");
  expect_refused("0\n\r\n");
  expect_refused("0\r\n\n");
  expect_refused("0\r\n\rX");
  expect_refused("0\r\nA: b\n\r\n");
  expect_refused("0\r\nA: b\rc\r\n\r\n");
}

TEST(ChunkedDecoder, SkipsShortExtensions) {
  EXPECT_EQ(decode("1;a=b;c\r\nx\r\n0;last\r\n\r\n").body, "x");
  EXPECT_EQ(decode("1;" + std::string(63, 'e') + "\r\nx\r\n0\r\n\r\n").body, "x");
  expect_refused("1;" + std::string(64, 'e') + "\r\nx\r\n0\r\n\r\n");
  EXPECT_TRUE(decode("1;" + std::string(63, 'e') + "\r\nx\r\n0;" + std::string(63, 'e') + "\r\n\r\n").done)
      << "the bound is each chunk's";
}

TEST(ChunkedDecoder, RefusesQuotesBlanksAndControlsInExtensions) {
  for (const char* text : {"1;a=\"b\"\r\nx\r\n", "1;a\nb\r\nx\r\n", "1; a\r\nx\r\n", "1;a\tb\r\nx\r\n", "1;\x7f\r\n",
                           "1;\xc3\xa9\r\n", "1;a\x01\r\n"}) {
    expect_refused(text);
  }
}

TEST(ChunkedDecoder, DropsTrailersWithinABound) {
  const Decoded out = decode("1\r\nx\r\n0\r\nX-Check: 1\r\nOther:\r\n\r\n");
  EXPECT_TRUE(out.done);
  EXPECT_EQ(out.body, "x");
  ChunkedDecoder decoder(Side::upstream);
  const std::string text = "0\r\nA: " + std::string(9000, 'a') + "\r\n\r\n";
  EXPECT_FALSE(decoder.next(as_bytes(text)));
}

TEST(ChunkedDecoder, RefusesMalformedTrailers) {
  for (const char* text : {"0\r\n: x\r\n\r\n", "0\r\nA b: x\r\n\r\n", "0\r\nA\r\n\r\n", "0\r\n folded\r\n\r\n",
                           "0\r\nA: \x01\r\n\r\n", "0\r\nGET / HTTP/1.1\r\n"}) {
    expect_refused(text);
  }
}

TEST(ChunkedDecoder, BlamesWhoSent) {
  const Decoded out = decode_cut("x", {}, Side::client);
  EXPECT_EQ(out.error, Errc::framing);
  EXPECT_EQ(out.side, Side::client);
}

TEST(BodyReader, ReadsEachKindOfBodyAndNothingBehindIt) {
  using Kind = BodyLength::Kind;
  const auto read = [](BodyLength length, std::string_view text, std::size_t step) {
    BodyReader reader(length, Side::client);
    std::string body;
    std::size_t covered = 0;
    for (std::size_t shown = 0; shown <= text.size(); shown += step) {
      while (true) {
        const auto piece = reader.next(as_bytes(text.substr(covered, shown - covered)));
        if (!piece) return std::string("error");
        if (piece->size == 0) break;
        body += as_text(piece->data);
        covered += piece->size;
      }
    }
    EXPECT_EQ(reader.octets(), body.size());
    const bool done = reader.done();
    const bool ended = reader.end();
    return body + "|" + std::to_string(covered) + (done ? " done" : ended ? " by its end" : " in part");
  };
  for (const std::size_t step : {1, 2, 6}) {
    EXPECT_EQ(read({Kind::none, 0}, "abcdef", step), "|0 done");
    EXPECT_EQ(read({Kind::length, 0}, "abcdef", step), "|0 done");
    EXPECT_EQ(read({Kind::length, 4}, "abcdef", step), "abcd|4 done");
    EXPECT_EQ(read({Kind::length, 7}, "abcdef", step), "abcdef|6 in part");
    EXPECT_EQ(read({Kind::until_close, 0}, "abcdef", step), "abcdef|6 by its end");
    EXPECT_EQ(read({Kind::chunked, 0}, "1\r\na\r\n0\r\n\r\nGET ", step).substr(0, 4), "a|11");
    EXPECT_EQ(read({Kind::chunked, 0}, "2\r\nab\r\n ", step), step == 6 ? "ab|6 in part" : "error");
  }
}

}  // namespace
}  // namespace sluice::http
