#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Type = Json::Type;

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Json, ReadsEveryKindOfValue) {
  const auto json = Json::parse(
      R"( {"a":null,"b":true,"c":false,"d":-12,"e":1.5,"f":"x\u00e9\n","g":[1,[],{}],"h":{"i":"j"}} )");
  ASSERT_TRUE(json);
  ASSERT_TRUE(json->is(Type::object));
  EXPECT_TRUE(json->find("a")->is(Type::null));
  EXPECT_TRUE(json->find("b")->is(Type::boolean));
  EXPECT_TRUE(json->find("b")->boolean());
  EXPECT_FALSE(json->find("c")->boolean());
  EXPECT_EQ(json->find("d")->integer(), -12);
  EXPECT_EQ(json->find("e")->real(), 1.5);
  EXPECT_EQ(json->find("f")->text(), "x\xc3\xa9\n");
  ASSERT_EQ(json->find("g")->items().size(), 3U);
  EXPECT_TRUE(json->find("g")->items()[1].is(Type::array));
  EXPECT_EQ(json->find("h")->find("i")->text(), "j");
  EXPECT_EQ(json->find("z"), nullptr);
  EXPECT_EQ(json->members()[0].first, "a");
}

TEST(Json, ReadsALoneValue) {
  EXPECT_TRUE(Json::parse("null")->is(Type::null));
  EXPECT_TRUE(Json::parse(" true\n")->boolean());
  EXPECT_EQ(Json::parse("7")->integer(), 7);
  EXPECT_EQ(Json::parse("\t\"a\" ")->text(), "a");
  EXPECT_TRUE(Json::parse("[]")->is(Type::array));
}

TEST(Json, TellsIntegersFromOtherNumbers) {
  const struct {
    const char* text;
    Type type;
    std::int64_t integer;
  } rows[] = {{"0", Type::integer, 0},
              {"-0", Type::integer, 0},
              {"9223372036854775807", Type::integer, std::numeric_limits<std::int64_t>::max()},
              {"-9223372036854775808", Type::integer, std::numeric_limits<std::int64_t>::min()},
              {"9223372036854775808", Type::real, 0},
              {"18446744073709551616", Type::real, 0},
              {"1.0", Type::real, 0},
              {"1e3", Type::real, 0},
              {"1E+3", Type::real, 0},
              {"-1.5e-3", Type::real, 0}};
  for (const auto& row : rows) {
    const auto json = Json::parse(row.text);
    ASSERT_TRUE(json) << row.text;
    EXPECT_EQ(json->type(), row.type) << row.text;
    EXPECT_EQ(json->integer(), row.integer) << row.text;
    EXPECT_EQ(json->text(), row.text);
  }
  EXPECT_EQ(Json::parse("[1 ]")->items()[0].text(), "1");
}

TEST(Json, RefusesNumbersThatNothingCanHold) {
  for (const char* text :
       {"1e400", "-1e400", "1e1000000000", "1e99999999999999999999999", "{\"exp\":1e1000000000}"}) {
    EXPECT_FALSE(Json::parse(text)) << text;
  }
  EXPECT_TRUE(Json::parse("1" + std::string(300, '0')));
  EXPECT_FALSE(Json::parse("1" + std::string(60'000, '0')));
}

TEST(Json, RefusesWhatIsNotExactlyOneValue) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[",
                           "]",
                           "][",
                           "[1",
                           "1]",
                           "1,2",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{,}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\":1 \"b\":2}",
                           "{1:2}",
                           "[1}",
                           "{\"a\":1]",
                           "nul",
                           "nulll",
                           "True",
                           "truefalse",
                           "true false",
                           "01",
                           "+1",
                           "-",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "0x10",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "1_000",
                           "\"abc",
                           "abc\"",
                           "\"a\nb\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\",
                           "// c\n1",
                           "1 // c",
                           "[1]]",
                           "[[1]",
                           "1] [2",
                           "{} {}",
                           "\"a\" \"b\"",
                           "1 null",
                           "[1]null",
                           "-01",
                           "1e5.5",
                           "--1",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800x\"",
                           "\"\\ud800\\u0041\"",
                           "\"\xff\"",
                           "\"\xc0\xaf\"",
                           "\"\xed\xa0\x80\"",
                           "\xef\xbb\xbf{}",
                           "{\"\\ud800\":1}",
                           "\"\x01\""}) {
    EXPECT_FALSE(Json::parse(text)) << text;
  }
  EXPECT_FALSE(Json::parse(std::string_view("1\0", 2)));
  EXPECT_FALSE(Json::parse(std::string_view("{}\0{}", 5)));
}

TEST(Json, RefusesADuplicateNameAtAnyDepthAndInAnyForm) {
  EXPECT_FALSE(Json::parse(R"({"sub":"a","sub":"root"})"));
  EXPECT_FALSE(Json::parse(R"({"sub":"a","x":1,"s\u0075b":"root"})"));
  EXPECT_FALSE(Json::parse(R"([{"x":{"a":1,"b":2,"a":1}}])"));
  EXPECT_TRUE(Json::parse(R"({"sub":"a","Sub":"b","x":{"sub":1}})"));
}

TEST(Json, KeepsNulInsideAString) { EXPECT_EQ(Json::parse("\"a\\u0000b\"")->text(), std::string("a\0b", 3)); }

TEST(Json, ReadsSurrogatePairs) { EXPECT_EQ(Json::parse("\"\\ud83d\\ude00\"")->text(), "\xf0\x9f\x98\x80"); }

TEST(Json, HoldsTheLimits) {
  EXPECT_TRUE(Json::parse(nested(16)));
  EXPECT_FALSE(Json::parse(nested(17)));
  EXPECT_FALSE(Json::parse(std::string(60'000, '[')));
  EXPECT_FALSE(Json::parse(nested(100'000), {.octets = 1 << 20}));
  EXPECT_TRUE(Json::parse("[1,[2]]", {.depth = 2}));
  EXPECT_FALSE(Json::parse("[1,[2]]", {.depth = 1}));
  EXPECT_TRUE(Json::parse("[1,2,3]", {.members = 3}));
  EXPECT_FALSE(Json::parse("[1,2,3]", {.members = 2}));
  EXPECT_FALSE(Json::parse(R"({"a":1,"b":2})", {.members = 1}));
  EXPECT_TRUE(Json::parse("\"abc\"", {.octets = 5}));
  EXPECT_FALSE(Json::parse("\"abc\"", {.octets = 4}));
}

TEST(Json, RefusesEveryCutOfAText) {
  const std::string text = R"({"a":[1,-2.5e3,"x\u00e9\ud83d\ude00",null,true],"b":{"c":false}})";
  ASSERT_TRUE(Json::parse(text));
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    EXPECT_FALSE(Json::parse(std::string_view(text).substr(0, cut))) << cut;
    EXPECT_EQ(Json::parse(std::string_view(text).substr(cut)).has_value(), cut == 0) << cut;
  }
}

TEST(Json, StillReadsAfterItRefused) {
  EXPECT_FALSE(Json::parse("{\"a\":"));
  EXPECT_FALSE(Json::parse("[[[["));
  EXPECT_EQ(Json::parse("{\"a\":1}")->find("a")->integer(), 1);
}

TEST(JsonQuote, EscapesWhatActsOnTerminalsAndScripts) {
  EXPECT_EQ(json_quote("plain text"), "\"plain text\"");
  EXPECT_EQ(json_quote(""), "\"\"");
  EXPECT_EQ(json_quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_quote("\x1b[2J\r\n{\"level\":\"x\"}"), R"("\u001b[2J\r\n{\"level\":\"x\"}")");
  EXPECT_EQ(json_quote("\x7f"), R"("\u007f")");
  EXPECT_EQ(json_quote("\xc2\x80\xc2\x9f\xc2\xa0"), "\"\\u0080\\u009f\xc2\xa0\"");
  EXPECT_EQ(json_quote("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9"), "\"\xe2\x80\xa7\\u2028\\u2029\"");
  EXPECT_EQ(json_quote("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"");
  // No UTF-8: a lone octet, a cut code point, an overlong one, a surrogate, beyond U+10FFFF; and sense goes on behind it.
  EXPECT_EQ(json_quote("a\xff\xc3"), "\"a\\u00ff\\u00c3\"");
  EXPECT_EQ(json_quote("\xc3\xa9\xe2\x82z"), "\"\xc3\xa9\\u00e2\\u0082z\"");
  EXPECT_EQ(json_quote("\xc0\xaf\n"), "\"\\u00c0\\u00af\\n\"");
  EXPECT_EQ(json_quote("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"");
  EXPECT_EQ(json_quote("\xf4\x90\x80\x80\xf0\x9f\x98\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\xf0\x9f\x98\x80\"");
  EXPECT_EQ(json_quote("\xf8"), "\"\\u00f8\"");
}

TEST(JsonQuote, YieldsValidJsonForEveryPairOfOctets) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const char pair[] = {static_cast<char>(a), static_cast<char>(b)};
      const std::string quoted = json_quote(std::string_view(pair, 2));
      ASSERT_TRUE(nlohmann::json::accept(quoted)) << a << " " << b;
      ASSERT_TRUE(Json::parse(quoted)) << a << " " << b;
      for (const char c : quoted)
        ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f) << a << " " << b;
    }
  }
}

TEST(JsonWriter, WritesAWholeTree) {
  JsonWriter writer;
  writer.begin_object()
      .field("text", "a\"b")
      .field("int", -5)
      .field("big", std::numeric_limits<std::uint64_t>::max())
      .field("small", std::numeric_limits<std::int64_t>::min())
      .field("real", 0.25)
      .field("yes", true)
      .name("none")
      .null()
      .name("list")
      .begin_array()
      .value(1)
      .value("x")
      .begin_object()
      .end_object()
      .begin_array()
      .end_array()
      .end_array()
      .field("view", std::string_view("v"))
      .field("string", std::string("s"))
      .end_object();
  EXPECT_EQ(
      writer.text(),
      R"({"text":"a\"b","int":-5,"big":18446744073709551615,"small":-9223372036854775808,"real":0.25,"yes":true,)"
      R"("none":null,"list":[1,"x",{},[]],"view":"v","string":"s"})");
  EXPECT_TRUE(Json::parse(writer.text()));
}

TEST(JsonWriter, WritesNumbersThatAreNotFiniteAsNull) {
  JsonWriter writer;
  writer.begin_array().value(std::nan("")).value(HUGE_VAL).value(1e22).value(1e-7).end_array();
  EXPECT_TRUE(Json::parse(writer.text())) << writer.text();
  EXPECT_TRUE(writer.text().starts_with("[null,null,"));
}

TEST(JsonWriterDeathTest, AbortsOnMisuse) {
  EXPECT_DEATH(JsonWriter().begin_object().value(1), "needs a name");
  EXPECT_DEATH(JsonWriter().begin_array().name("a"), "name outside");
  EXPECT_DEATH(JsonWriter().begin_array().end_object(), "closes");
  EXPECT_DEATH(JsonWriter().begin_object().name("a").end_object(), "closes");
  EXPECT_DEATH(JsonWriter().value(1).value(2), "second");
}

}  // namespace
}  // namespace sluice
