#include "net/dns_services.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace sluice::net {

namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kMostRecords = 64;
constexpr std::size_t kMostName = 255;  // octets with the lengths of labels (RFC 1035 §2.3.4)
constexpr std::uint16_t kCname = 5;
constexpr std::uint16_t kSrv = 33;

bool is_host_octet(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// A place in the message that moves on as it is read. Past the end everything is 0 and good() is false.
class Reader {
 public:
  Reader(Bytes message, std::size_t at) : message_(message), at_(at) {}
  bool good() const { return good_; }
  std::size_t at() const { return at_; }

  std::uint16_t number16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t number32() { return number(4); }
  void skip(std::size_t octets) {
    if (octets > message_.size() - at_) return fail();
    at_ += octets;
  }

  // A name, compressed or not (§4.1.4). Each pointer leads back before the place that it stands for, so that none is
  // followed twice.
  std::string name() {
    std::string text;
    std::size_t at = at_;
    std::size_t limit = at_;  // a pointer must lead to before this
    std::size_t octets = 0;
    bool jumped = false;
    while (at < message_.size()) {
      const std::uint8_t length = message_[at];
      if (length == 0) {
        if (!jumped) at_ = at + 1;
        return text;
      }
      if ((length & 0xc0) == 0xc0) {
        if (at + 1 >= message_.size()) break;
        const std::size_t target = static_cast<std::size_t>(length & 0x3f) << 8 | message_[at + 1];
        if (target >= limit || target < kHeader) break;
        if (!jumped) at_ = at + 2;
        jumped = true;
        at = limit = target;
        continue;
      }
      if ((length & 0xc0) != 0 || length >= message_.size() - at) break;
      octets += length + 1u;
      if (octets >= kMostName) break;
      if (!text.empty()) text += '.';
      text += as_text(message_.subspan(at + 1, length));
      at += length + 1u;
    }
    fail();
    return {};
  }

 private:
  std::uint32_t number(std::size_t octets) {
    if (octets > message_.size() - at_) return fail(), 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < octets; ++i) value = value << 8 | message_[at_ + i];
    at_ += octets;
    return value;
  }
  void fail() {
    good_ = false;
    at_ = message_.size();
  }

  Bytes message_;
  std::size_t at_;
  bool good_ = true;
};

bool is_host_name(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.size() <= 253 &&
         std::ranges::all_of(text, [](char c) { return c == '.' || is_host_octet(c); });
}

}  // namespace

std::optional<Services> read_services(Bytes message) {
  if (message.size() < kHeader) return std::nullopt;
  Reader counts(message, 4);
  const std::uint16_t questions = counts.number16();
  const std::uint16_t answers = counts.number16();
  Reader in(message, kHeader);
  for (std::uint16_t i = 0; i < questions && in.good(); ++i) {
    in.name();
    in.skip(4);
  }
  Services services;
  services.ttl = std::numeric_limits<std::uint32_t>::max();
  for (std::uint16_t i = 0; i < answers && in.good(); ++i) {
    in.name();
    const std::uint16_t type = in.number16();
    in.skip(2);  // class
    const std::uint32_t ttl = in.number32();
    const std::uint16_t size = in.number16();
    const std::size_t end = in.at() + size;
    if (type == kCname || type == kSrv) services.ttl = std::min(services.ttl, ttl);
    if (type != kSrv) {
      in.skip(size);
      continue;
    }
    Service one;
    one.priority = in.number16();
    one.weight = in.number16();
    one.port = in.number16();
    one.target = in.name();
    if (!in.good() || in.at() != end) return std::nullopt;
    if (one.target.empty()) continue;  // "decidedly not available" (RFC 2782)
    if (!is_host_name(one.target) || one.port == 0) return std::nullopt;
    services.records.push_back(std::move(one));
  }
  if (!in.good()) return std::nullopt;
  std::ranges::sort(services.records, {}, [](const Service& one) { return std::tie(one.priority, one.target, one.port); });
  if (services.records.size() > kMostRecords) services.records.resize(kMostRecords);
  return services;
}

}  // namespace sluice::net
