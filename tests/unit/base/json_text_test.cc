#include "base/json_text.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using Kind = JsonText::Kind;

JsonText::Value at(std::string_view text, std::string_view pointer) {
  return JsonText(text).find(*JsonPointer::parse(pointer));
}
std::string text_at(std::string_view text, std::string_view pointer) { return std::string(at(text, pointer).text); }

TEST(JsonPointer, IsReadByRfc6901) {
  const auto tokens = [](std::string_view text) {
    const auto pointer = JsonPointer::parse(text);
    return pointer ? std::vector<std::string>(pointer->tokens().begin(), pointer->tokens().end())
                   : std::vector<std::string>{"no pointer"};
  };
  EXPECT_EQ(tokens(""), std::vector<std::string>{});
  EXPECT_EQ(tokens("/"), std::vector<std::string>{""});
  EXPECT_EQ(tokens("/a/b"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(tokens("/a~1b/m~0n/~01"), (std::vector<std::string>{"a/b", "m~n", "~1"}));
  EXPECT_EQ(tokens("//"), (std::vector<std::string>{"", ""}));
  for (const std::string bad : {"a", "a/b", "/~", "/~2", "/a~"}) EXPECT_FALSE(JsonPointer::parse(bad)) << bad;
  std::string deep;
  for (std::size_t i = 0; i < JsonPointer::kMostTokens; ++i) deep += "/x";
  EXPECT_TRUE(JsonPointer::parse(deep));
  EXPECT_FALSE(JsonPointer::parse(deep + "/x"));
}

TEST(JsonText, FindsValuesOfEveryKind) {
  const std::string text = R"( {"s": "a\u0062\n", "n": -1.5e3 , "t":true,"f":false, "z":null,"o":{"k":[1,{"d":"deep"}]},"":7} )";
  EXPECT_EQ(at(text, "/s").kind, Kind::text);
  EXPECT_EQ(text_at(text, "/s"), "ab\n");
  EXPECT_EQ(at(text, "/n").kind, Kind::word);
  EXPECT_EQ(text_at(text, "/n"), "-1.5e3");
  EXPECT_EQ(text_at(text, "/t"), "true");
  EXPECT_EQ(text_at(text, "/f"), "false");
  EXPECT_EQ(text_at(text, "/z"), "null");
  EXPECT_EQ(at(text, "/o").kind, Kind::container);
  EXPECT_EQ(at(text, "/o/k").kind, Kind::container);
  EXPECT_EQ(text_at(text, "/o/k/0"), "1");
  EXPECT_EQ(text_at(text, "/o/k/1/d"), "deep");
  EXPECT_EQ(text_at(text, "/"), "7");
  EXPECT_EQ(at(text, "").kind, Kind::container);
  EXPECT_EQ(text_at(R"( "lone" )", ""), "lone");
  EXPECT_EQ(text_at(" 42 ", ""), "42");
  EXPECT_EQ(text_at(R"([1,[2,"x"]])", "/1/1"), "x");
}

TEST(JsonText, IsAskedOnAfterAFault) {
  for (const std::string_view broken : {R"({"a":[1,})", R"({"a":[1,],"b":2})", R"({"a":tru,"b":2})", R"([1,}])", R"({"a":1 "b":2})",
                                        "[", "{\"a\":"}) {
    const JsonText one(broken);
    for (int i = 0; i < 3; ++i) {
      for (const std::string_view way : {"/a", "/0", "/a/0", "/a/1", "/b", ""}) (void)one.find(*JsonPointer::parse(way));
    }
    EXPECT_FALSE(one.find(*JsonPointer::parse("/c"))) << broken;
  }
}

TEST(JsonText, IsAskedMoreThanOnce) {
  const JsonText text(R"({"a":{"b":"1"},"c":"2"})");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(text.find(*JsonPointer::parse("/c")).text, "2");
    EXPECT_EQ(text.find(*JsonPointer::parse("/a/b")).text, "1");
    EXPECT_FALSE(text.find(*JsonPointer::parse("/x")));
  }
}

TEST(JsonText, FindsNothingWhereNothingIs) {
  const std::string text = R"({"a":{"b":[1]},"s":"x"})";
  for (const std::string pointer : {"/x", "/a/x", "/a/b/1", "/a/b/00", "/a/b/-", "/a/b/x", "/s/0", "/s/x", "/a/b/0/c"}) {
    EXPECT_FALSE(at(text, pointer)) << pointer;
  }
}

TEST(JsonText, ComparesNamesByWhatTheyMean) { EXPECT_EQ(text_at(R"({"\u006dethod":"x"})", "/method"), "x"); }

TEST(JsonText, TakesANameThatStandsTwiceForNoAnswer) {
  EXPECT_FALSE(at(R"({"a":1,"a":2})", "/a"));
  EXPECT_FALSE(at(R"({"a":1,"b":{"a":1},"\u0061":2})", "/a"));
  EXPECT_FALSE(at(R"({"a":{"b":1},"a":{}})", "/a/b"));
  EXPECT_EQ(text_at(R"({"a":1,"b":2,"b":3})", "/a"), "1");
}

TEST(JsonText, FindsNothingInWhatIsNotJson) {
  for (const std::string text :
       {"", " ", "{", "}", "[", R"({"a")", R"({"a":)", R"({"a":1)", R"({"a":1}})", R"({"a":1} x)", R"({"a":1},{"a":1})",
        R"({"a":1],)", R"({"a":"x)", "{\"a\":\"x\ny\"}", R"({'a':1})", R"({"a":tru})", R"({"a":1 2})", R"({a:1})", "\xef\xbb\xbf{\"a\":1}",
        "{\"a\":1,\"b\":\"\xff\"}", R"(1],["a")", R"({"a":1}]["a"])", R"({"a":nil})", R"({"b" 1,"a":1})"}) {
    EXPECT_FALSE(at(text, "/a")) << text;
  }
  EXPECT_FALSE(at("1],[2", ""));
  EXPECT_FALSE(at("1 2", ""));
}

TEST(JsonText, IsNotConfusedByDepth) {
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += '[';
  EXPECT_FALSE(at(R"({"a":1,"b":)" + deep + "}", "/a"));
  EXPECT_FALSE(at(deep, "/0/0"));
}

// Never an octet beyond the text, wherever it ends.
TEST(JsonText, FindsNothingInATextThatIsCut) {
  const std::string text = R"({"jsonrpc":"2.0","id":[1,2,{"x":"\u00e9"}],"method":"order.new","params":{"room":"r"}})";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    EXPECT_FALSE(at(text.substr(0, cut), "/method")) << cut;
  }
  EXPECT_EQ(text_at(text, "/method"), "order.new");
}

}  // namespace
}  // namespace sluice
