// RESP2, the protocol of Redis (https://redis.io/docs/reference/protocol-spec): commands to octets, octets to replies. By the
// reader and the formatter of hiredis, with objects of our own, so that nothing is allocated by a length that was only declared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

struct redisReader;

namespace sluice::store {

struct RedisReply {
  enum class Type : std::uint8_t { nil, status, error, integer, string, array };

  Type type = Type::nil;
  std::string text;  // of status, error and string: any octets
  std::int64_t integer = 0;
  std::vector<RedisReply> items;

  bool is(Type wanted) const { return type == wanted; }
  // An error whose first word this is ("READONLY").
  bool refused_with(std::string_view word) const;
};

// An array of strings with binary-safe lengths: whatever octets an argument has, it stays one argument. What it was made from
// on the way is wiped: it may hold a password.
std::string redis_command(std::span<const std::string> arguments);

class RedisReader {
 public:
  static constexpr std::size_t kMostOctets = 64 * 1024;  // of one reply, as it comes
  static constexpr int kMostItems = 4096;                // of one array; at most seven deep, by hiredis

  RedisReader();
  ~RedisReader();
  RedisReader(const RedisReader&) = delete;
  RedisReader& operator=(const RedisReader&) = delete;

  // Takes all octets and appends the replies that are whole. False: this is no RESP, or more of it than may be; the reader is of no
  // further use.
  bool feed(Bytes octets, std::vector<RedisReply>& replies);

 private:
  struct Free {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, Free> reader_;
  std::size_t unfinished_ = 0;  // octets since the last whole reply
};

}  // namespace sluice::store
