#include "net/proxy_protocol.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace sluice::net {

namespace {

constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::string_view kV1Begin = "PROXY ";
constexpr std::size_t kTlvHead = 3;
constexpr std::size_t kCrcSize = 4;
constexpr std::size_t kSslHead = 5;  // client bits and verify

// Low and high half of the octet behind the signature, and of the one behind that (§2.2).
constexpr std::uint8_t kVersion2 = 0x20;
constexpr std::uint8_t kLocal = 0x0;
constexpr std::uint8_t kProxy = 0x1;
constexpr std::uint8_t kUnspec = 0x00;
constexpr std::uint8_t kTcp4 = 0x11;
constexpr std::uint8_t kTcp6 = 0x21;
constexpr std::uint8_t kUnixStream = 0x31;

constexpr std::size_t addresses_size(std::uint8_t family) {
  return family == kTcp4 ? 12 : family == kTcp6 ? 36 : family == kUnixStream ? 216 : 0;
}

std::unexpected<Error> bad(const char* why) { return fail(Errc::proxy_hdr, Side::client, why); }

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = crc_table();

// ---- version 1 --------------------------------------------------------------------------------------------------------

// Up to the next single space, or the rest.
std::string_view take_word(std::string_view& text) {
  const std::size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  return word;
}

// Decimal, without a leading zero or sign.
std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return port;
}

// inet_pton's form, which for IPv4 has no leading zeros; no brackets here.
std::optional<Address> address_of(std::string_view text, int family, std::string_view port_text) {
  const auto port = port_of(port_text);
  if (!port || text.starts_with('[')) return std::nullopt;
  auto address = Address::parse(text, *port);
  if (!address || address->family() != family) return std::nullopt;
  return address;
}

Result<bool> read_v1_line(std::string_view line, ProxyHeader& out) {
  const std::string_view protocol = take_word(line);
  if (protocol == "UNKNOWN") return true;  // what stands behind it is ignored (§2.1)
  if (protocol != "TCP4" && protocol != "TCP6") return bad("a protocol other than TCP4, TCP6 and UNKNOWN");
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  if (std::ranges::count(line, ' ') != 3) return bad("not two addresses and two ports");
  const std::string_view source = take_word(line);
  const std::string_view destination = take_word(line);
  const std::string_view source_port = take_word(line);
  const auto from = address_of(source, family, source_port);
  const auto to = address_of(destination, family, line);
  if (!from || !to) return bad("an address or port that is none");
  out.source = *from;
  out.destination = *to;
  return true;
}

Result<bool> read_v1(Bytes bytes, ProxyHeader& out) {
  const std::string_view text = as_text(bytes.first(std::min(bytes.size(), kMostProxyV1)));
  const std::size_t same = std::min(text.size(), kV1Begin.size());
  if (text.substr(0, same) != kV1Begin.substr(0, same)) return bad("neither version of the header");
  const auto odd = std::ranges::find_if(text, [](char c) { return c < ' ' || c > '~'; });
  if (odd == text.end()) {
    if (text.size() == kMostProxyV1) return bad("longer than 107 octets");
    return false;
  }
  const auto end = static_cast<std::size_t>(odd - text.begin());
  if (text[end] != '\r') return bad("a control character in the line");
  if (end + 1 == text.size()) {
    if (text.size() == kMostProxyV1) return bad("longer than 107 octets");
    return false;
  }
  if (text[end + 1] != '\n') return bad("CR without LF");
  if (end < kV1Begin.size()) return bad("neither version of the header");
  out.size = end + 2;
  return read_v1_line(text.substr(kV1Begin.size(), end - kV1Begin.size()), out);
}

// ---- version 2 --------------------------------------------------------------------------------------------------------

Address ip_at(const std::uint8_t* octets, std::size_t size, const std::uint8_t* port) {
  if (size == 4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(load_be<std::uint16_t>(port));
    std::copy_n(octets, size, reinterpret_cast<std::uint8_t*>(&v4.sin_addr));
    return Address::from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(load_be<std::uint16_t>(port));
  std::copy_n(octets, size, v6.sin6_addr.s6_addr);
  return Address::from(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

bool well_formed(Bytes tlvs) {
  ProxyTlvs walk(tlvs);
  while (walk.next()) {
  }
  return !walk.broken();
}

// Over the whole header, the sum's own four octets taken as zero (§2.2.3).
bool crc_holds(Bytes header, Bytes sum) {
  const auto at = static_cast<std::size_t>(sum.data() - header.data());
  constexpr std::array<std::uint8_t, kCrcSize> kZero{};
  std::uint32_t crc = crc32c(header.first(at));
  crc = crc32c(kZero, crc);
  crc = crc32c(header.subspan(at + kCrcSize), crc);
  return crc == load_be<std::uint32_t>(sum.data());
}

Result<void> check_tlvs(Bytes header, Bytes tlvs) {
  ProxyTlvs walk(tlvs);
  bool summed = false;
  while (walk.next()) {
    const Bytes value = walk.value();
    switch (walk.type()) {
      case pp2::kCrc32c:
        if (value.size() != kCrcSize || summed || !crc_holds(header, value)) return bad("the CRC32C does not hold");
        summed = true;
        break;
      case pp2::kSsl:
        if (value.size() < kSslHead || !well_formed(value.subspan(kSslHead))) return bad("a broken PP2_TYPE_SSL");
        break;
      case pp2::kUniqueId:
        if (value.size() > kMostUniqueId) return bad("a unique id over 128 octets");
        break;
      default: break;
    }
  }
  if (walk.broken()) return bad("a TLV beyond the end");
  return {};
}

Result<bool> read_v2(Bytes bytes, ProxyHeader& out) {
  const std::size_t same = std::min(bytes.size(), kSignature.size());
  if (as_text(bytes.first(same)) != kSignature.substr(0, same)) return bad("neither version of the header");
  if (bytes.size() <= 12) return false;
  const std::uint8_t command = bytes[12] & 0x0F;
  if ((bytes[12] & 0xF0) != kVersion2 || command > kProxy) return bad("a version or command that is not served");
  if (bytes.size() <= 13) return false;
  const std::uint8_t family = bytes[13];
  // Of LOCAL the family is ignored with all that follows; a datagram did not come by this socket.
  const std::size_t fixed = command == kLocal ? 0 : addresses_size(family);
  if (command == kProxy && fixed == 0 && family != kUnspec) return bad("a family that is not served");
  if (bytes.size() < kProxyV2Head) return false;
  const std::size_t length = load_be<std::uint16_t>(bytes.data() + 14);
  if (kProxyV2Head + length > kMostProxyV2) return bad("longer than 512 octets");
  if (length < fixed) return bad("no room for the addresses of its family");
  if (bytes.size() < kProxyV2Head + length) return false;
  const Bytes header = bytes.first(kProxyV2Head + length);
  out.size = header.size();
  if (command == kLocal) return true;
  out.tlvs = header.subspan(kProxyV2Head + fixed);
  TRY_VOID(check_tlvs(header, out.tlvs));
  if (family == kTcp4 || family == kTcp6) {
    const std::size_t one = family == kTcp4 ? 4 : 16;
    const std::uint8_t* at = header.data() + kProxyV2Head;
    out.source = ip_at(at, one, at + 2 * one);
    out.destination = ip_at(at + one, one, at + 2 * one + 2);
  }
  return true;
}

// ---- encoding ---------------------------------------------------------------------------------------------------------

bool is_ip(const Address& address) { return address.is_v4() || address.is_v6(); }

std::string v6_text(const Address& address) { return address.is_v4() ? "::ffff:" + address.ip() : address.ip(); }

void put_u16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8 & 0xFF);
  out += static_cast<char>(value & 0xFF);
}

void put_ip(std::string& out, const Address& address, bool v6) {
  if (v6 && address.is_v4()) out.append(10, '\0').append(2, '\xFF');
  out += as_text(address.octets());
}

// A value whose size does not fit makes the whole too long, which is found before it is used.
void put_tlv(std::string& out, std::uint8_t type, std::string_view value) {
  out += static_cast<char>(type);
  put_u16(out, value.size());
  out += value;
}

std::string ssl_value(const ProxyFacts& facts) {
  std::string value;
  const std::uint8_t certificate = pp2::kClientCertConnection | pp2::kClientCertSession;
  value += static_cast<char>(pp2::kClientSsl | (facts.certificate ? certificate : 0));
  // verify: zero only where a certificate was shown and holds.
  value.append(3, '\0') += facts.certificate ? '\0' : '\1';
  if (!facts.tls_version.empty()) put_tlv(value, pp2::kSslVersion, facts.tls_version);
  if (!facts.common_name.empty()) put_tlv(value, pp2::kSslCommonName, facts.common_name);
  return value;
}

std::string tlvs_of(const ProxyFacts& facts) {
  std::string out;
  if (!facts.alpn.empty()) put_tlv(out, pp2::kAlpn, facts.alpn);
  if (!facts.authority.empty()) put_tlv(out, pp2::kAuthority, facts.authority);
  if (!facts.unique_id.empty()) put_tlv(out, pp2::kUniqueId, facts.unique_id.substr(0, kMostUniqueId));
  if (facts.tls) put_tlv(out, pp2::kSsl, ssl_value(facts));
  if (!facts.identity.empty()) put_tlv(out, pp2::kIdentity, facts.identity);
  return out;
}

}  // namespace

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) {
  std::uint32_t crc = ~before;
  for (const std::uint8_t octet : bytes) crc = kCrcTable[(crc ^ octet) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

bool ProxyTlvs::next() {
  if (rest_.empty() || broken_) return false;
  const std::size_t size = rest_.size() < kTlvHead ? 0 : load_be<std::uint16_t>(rest_.data() + 1);
  if (rest_.size() < kTlvHead || rest_.size() - kTlvHead < size) {
    broken_ = true;
    return false;
  }
  type_ = rest_[0];
  value_ = rest_.subspan(kTlvHead, size);
  rest_ = rest_.subspan(kTlvHead + size);
  return true;
}

Result<bool> read_proxy_header(Bytes bytes, ProxyHeader& out) {
  out = {};
  if (bytes.empty()) return false;
  return bytes[0] == static_cast<std::uint8_t>(kSignature[0]) ? read_v2(bytes, out) : read_v1(bytes, out);
}

std::string proxy_header_v1(const Address& source, const Address& destination) {
  if (!is_ip(source) || !is_ip(destination)) return std::string(proxy_header_v1_unknown());
  const bool v4 = source.is_v4() && destination.is_v4();
  std::string line(kV1Begin);
  line += v4 ? "TCP4 " + source.ip() + " " + destination.ip() : "TCP6 " + v6_text(source) + " " + v6_text(destination);
  line += " " + std::to_string(source.port()) + " " + std::to_string(destination.port()) + "\r\n";
  return line;
}

std::string_view proxy_header_v1_unknown() { return "PROXY UNKNOWN\r\n"; }

std::string proxy_header_v2_local() {
  std::string header(kSignature);
  header += static_cast<char>(kVersion2 | kLocal);
  header += static_cast<char>(kUnspec);
  put_u16(header, 0);
  return header;
}

Result<std::string> proxy_header_v2(const ProxyFacts& facts) {
  const bool named = is_ip(facts.source) && is_ip(facts.destination);
  const bool v4 = named && facts.source.is_v4() && facts.destination.is_v4();
  std::string body;
  if (named) {
    put_ip(body, facts.source, !v4);
    put_ip(body, facts.destination, !v4);
    put_u16(body, facts.source.port());
    put_u16(body, facts.destination.port());
  }
  body += tlvs_of(facts);
  const std::size_t sum_at = kProxyV2Head + body.size() + kTlvHead;
  put_tlv(body, pp2::kCrc32c, std::string_view("\0\0\0\0", kCrcSize));
  if (body.size() > 0xFFFF) return fail(Errc::internal, Side::gateway, "a PROXY header over 65535 octets");
  std::string header(kSignature);
  header += static_cast<char>(kVersion2 | kProxy);
  header += static_cast<char>(!named ? kUnspec : v4 ? kTcp4 : kTcp6);
  put_u16(header, body.size());
  header += body;
  store_be(reinterpret_cast<std::uint8_t*>(header.data() + sum_at), crc32c(as_bytes(header)));
  return header;
}

}  // namespace sluice::net
