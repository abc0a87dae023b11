#include "store/redis_codec.h"

#include <gtest/gtest.h>

namespace sluice::store {
namespace {

using Type = RedisReply::Type;

struct Fed {
  bool good = true;
  std::vector<RedisReply> replies;
};

Fed feed(std::string_view octets, std::size_t cut = std::string_view::npos) {
  RedisReader reader;
  Fed fed;
  fed.good = reader.feed(as_bytes(octets.substr(0, std::min(cut, octets.size()))), fed.replies);
  if (fed.good && cut < octets.size()) fed.good = reader.feed(as_bytes(octets.substr(cut)), fed.replies);
  return fed;
}

std::string text_of(const RedisReply& reply) {
  switch (reply.type) {
    case Type::nil: return "nil";
    case Type::status: return "+" + reply.text;
    case Type::error: return "-" + reply.text;
    case Type::integer: return ":" + std::to_string(reply.integer);
    case Type::string: return "$" + reply.text;
    case Type::array: break;
  }
  std::string out = "[";
  for (const RedisReply& item : reply.items) out += text_of(item) + ",";
  return out + "]";
}

TEST(RedisCodec, EveryKindOfReplyCutAnywhere) {
  const std::string octets =
      "+OK\r\n-ERR no\r\n:-7\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
      "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n*2\r\n$1\r\n0\r\n*3\r\n$1\r\na\r\n:1\r\n*1\r\n+x\r\n:9\r\n";
  const std::string wanted = "+OK -ERR no :-7 $a\r\nb $ nil nil [] [$message,$c,$hi,] [$0,[$a,:1,[+x,],],] :9 ";
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    const Fed fed = feed(octets, cut);
    ASSERT_TRUE(fed.good) << cut;
    std::string got;
    for (const RedisReply& reply : fed.replies) got += text_of(reply) + " ";
    EXPECT_EQ(got, wanted) << cut;
  }
}

TEST(RedisCodec, WhatIsNoReplyIsRefused) {
  for (const char* octets : {"HTTP/1.1 400 Bad Request\r\n", "\r\n", "$x\r\n", ":\r\n\r\n$", "*1\r\n?\r\n", "$-2\r\n", "*-2\r\n", ":99999999999999999999\r\n"}) {
    EXPECT_FALSE(feed(octets).good) << octets;
  }
}

TEST(RedisCodec, NothingIsAllocatedByWhatIsOnlyDeclared) {
  EXPECT_FALSE(feed("*1000000000\r\n").good);
  EXPECT_FALSE(feed("*4097\r\n").good);
  EXPECT_FALSE(feed("*1\r\n*1000000000\r\n").good);
  EXPECT_TRUE(feed("*4096\r\n").good);
  EXPECT_FALSE(feed("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n").good) << "too deep";
  // A long string is let in up to the bound of one reply, whatever it says of itself.
  RedisReader reader;
  std::vector<RedisReply> replies;
  ASSERT_TRUE(reader.feed(as_bytes(std::string_view("$1000000000\r\n")), replies));
  const std::string part(1024, 'x');
  std::size_t sent = 0;
  while (reader.feed(as_bytes(part), replies)) {
    sent += part.size();
    ASSERT_LE(sent, 2 * RedisReader::kMostOctets);
  }
  EXPECT_GE(sent, RedisReader::kMostOctets - part.size() - 16);
  EXPECT_TRUE(replies.empty());
}

TEST(RedisCodec, RepliesOneAfterTheOtherAreBoundedOneByOne) {
  std::string many;
  while (many.size() < 4 * RedisReader::kMostOctets) many += "$1000\r\n" + std::string(1000, 'x') + "\r\n";
  EXPECT_TRUE(feed(many).good);
}

TEST(RedisCodec, CommandsAreArraysOfWhateverOctets) {
  const std::string wild = std::string("a\r\nFLUSHALL\r\n") + '\0';
  const std::vector<std::string> command{"SET", wild, ""};
  EXPECT_EQ(redis_command(command), "*3\r\n$3\r\nSET\r\n$14\r\n" + wild + "\r\n$0\r\n\r\n");
}

TEST(RedisCodec, TheFirstWordOfAnErrorIsItsKind) {
  const Fed fed = feed("-READONLY You can't write\r\n-READONLYX\r\n-LOADING\r\n+READONLY x\r\n");
  EXPECT_TRUE(fed.replies[0].refused_with("READONLY"));
  EXPECT_FALSE(fed.replies[1].refused_with("READONLY"));
  EXPECT_TRUE(fed.replies[2].refused_with("LOADING"));
  EXPECT_FALSE(fed.replies[3].refused_with("READONLY"));
}

}  // namespace
}  // namespace sluice::store
