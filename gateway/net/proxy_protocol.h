// PROXY protocol, versions 1 and 2 (haproxy.org: doc/proxy-protocol.txt): who a connection is from, said ahead of
// everything else. Decoding and encoding, no I/O and no memory of its own. Strict: whatever is not exactly a header is an
// error, at once where its beginning shows it, and nothing is guessed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "net/address.h"

namespace sluice::net {

inline constexpr std::size_t kMostProxyV1 = 107;             // §2.1, CR LF included
inline constexpr std::size_t kProxyV2Head = 16;              // signature, version and command, family, length
inline constexpr std::size_t kMostProxyV2 = kProxyV2Head + 496;  // taken from others; a longer one is refused unread
inline constexpr std::size_t kMostUniqueId = 128;            // §2.2.5

// Types of §2.2: of TLVs, and of those inside of kSsl.
namespace pp2 {
inline constexpr std::uint8_t kAlpn = 0x01;
inline constexpr std::uint8_t kAuthority = 0x02;
inline constexpr std::uint8_t kCrc32c = 0x03;
inline constexpr std::uint8_t kNoop = 0x04;
inline constexpr std::uint8_t kUniqueId = 0x05;
inline constexpr std::uint8_t kSsl = 0x20;
inline constexpr std::uint8_t kSslVersion = 0x21;
inline constexpr std::uint8_t kSslCommonName = 0x22;
inline constexpr std::uint8_t kNetns = 0x30;
inline constexpr std::uint8_t kIdentity = 0xE0;  // PP2_TYPE_MIN_CUSTOM: the subject of the client's token
// Bits of `client` in kSsl.
inline constexpr std::uint8_t kClientSsl = 0x01;
inline constexpr std::uint8_t kClientCertConnection = 0x02;
inline constexpr std::uint8_t kClientCertSession = 0x04;
}  // namespace pp2

struct ProxyHeader {
  std::size_t size = 0;  // octets that it takes
  // Both empty where the header names nobody (UNKNOWN, LOCAL, UNSPEC, unix sockets): the socket's own addresses count.
  Address source;
  Address destination;
  Bytes tlvs;  // version 2; checked, and views into what was given
};

// Reads the header at the front of `bytes`: false when more is needed. Asked again with the same octets and more behind
// them it does not change its mind. Error: proxy_hdr.
Result<bool> read_proxy_header(Bytes bytes, ProxyHeader& out);

// Walks type-length-value triples, whether or not they are whole.
class ProxyTlvs {
 public:
  explicit ProxyTlvs(Bytes bytes) : rest_(bytes) {}
  // False at the end, and at a triple that goes beyond it: then broken().
  bool next();
  std::uint8_t type() const { return type_; }
  Bytes value() const { return value_; }
  bool broken() const { return broken_; }

 private:
  Bytes rest_;
  Bytes value_;
  std::uint8_t type_ = 0;
  bool broken_ = false;
};

// What is said of a connection to an upstream. Views die with what they look at; an empty one is not said.
struct ProxyFacts {
  Address source;       // one of them empty or a unix socket's: nobody is named
  Address destination;
  std::string_view alpn;
  std::string_view authority;
  std::string_view unique_id;   // cut to kMostUniqueId
  std::string_view identity;
  bool tls = false;             // whether there is a kSsl
  std::string_view tls_version;
  bool certificate = false;     // shown and verified
  std::string_view common_name;
};

// Addresses of two families are both said as IPv6, the IPv4 one mapped (RFC 4291 §2.5.5.2).
std::string proxy_header_v1(const Address& source, const Address& destination);
// With a CRC32C. Error: internal when it would not fit into 65,535 octets.
Result<std::string> proxy_header_v2(const ProxyFacts& facts);

// Of a connection of the sender's own, which stands for nobody: a health check.
std::string_view proxy_header_v1_unknown();
std::string proxy_header_v2_local();

std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0);

}  // namespace sluice::net
