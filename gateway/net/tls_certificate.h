// ClientCertificate: what a verified client certificate says of its holder, as text. Read once, when the handshake is done.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct x509_st;

namespace sluice::net {

struct ClientCertificate {
  std::string subject;  // RFC 2253 text
  std::string issuer;   // likewise
  std::string serial;   // hex, lower case
  std::string sha256;   // fingerprint, hex, lower case
  std::int64_t not_after = 0;             // seconds since 1970
  std::vector<std::string> common_names;  // of the subject, UTF-8
  std::vector<std::string> dns;           // subjectAltName, by kind
  std::vector<std::string> uris;
  std::vector<std::string> emails;
  // Whether it names its holder by text alone: no control octet (a NUL least of all) in any name, only ASCII in alternative
  // names (RFC 5280 §4.2.1.6), and no more of all that than kMostNames and kMostOctets. Names that are not so are left out.
  bool good = true;

  static constexpr std::size_t kMostNames = 64;  // of each kind
  static constexpr std::size_t kMostOctets = 16 * 1024;
};

ClientCertificate read_certificate(const x509_st& certificate);
// The first certificate of a PEM text; one that is not `good` and says nothing when there is none.
ClientCertificate read_certificate(const std::string& pem);

}  // namespace sluice::net
