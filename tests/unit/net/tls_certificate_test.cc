#include "net/tls_certificate.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <functional>
#include <memory>

#include "support/tls_pair.h"

namespace sluice::net {
namespace {

using test::client_certificate;
using test::p256_key;

using Change = std::function<void(X509*)>;

// Signed by itself; `change` says what is special of it.
ClientCertificate read(const Change& change) {
  const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 0x0abc);
  ASN1_TIME_set(X509_getm_notBefore(made.get()), 0);
  ASN1_TIME_set(X509_getm_notAfter(made.get()), 2'000'000'000);
  X509_set_pubkey(made.get(), p256_key().raw());
  change(made.get());
  X509_sign(made.get(), p256_key().raw(), EVP_sha256());
  return read_certificate(*made);
}

void add_name(X509* to, const char* field, const std::string& text, int type = MBSTRING_UTF8) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(to), field, type, reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()), -1, 0);
}

// An alternative name with whatever octets.
void add_alternative(X509* to, int type, const std::vector<std::string>& texts) {
  GENERAL_NAMES* const names = sk_GENERAL_NAME_new_null();
  for (const std::string& text : texts) {
    ASN1_IA5STRING* const value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
    GENERAL_NAME* const name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names, name);
  }
  X509_add1_ext_i2d(to, NID_subject_alt_name, names, 0, 0);
  GENERAL_NAMES_free(names);
}

TEST(TlsCertificate, SaysWhoseItIs) {
  const ClientCertificate read_back = read_certificate(client_certificate().certificate);
  const CertificateFacts facts = certificate_facts(client_certificate().certificate);
  EXPECT_TRUE(read_back.good);
  EXPECT_EQ(read_back.subject, "CN=client");
  EXPECT_EQ(read_back.issuer, "CN=client");
  EXPECT_EQ(read_back.serial, "01");
  EXPECT_EQ(read_back.sha256, facts.sha256);
  EXPECT_EQ(read_back.not_after, facts.not_after);
  EXPECT_EQ(read_back.common_names, std::vector<std::string>{"client"});
  EXPECT_EQ(read_back.dns, std::vector<std::string>{"client.test"});
  EXPECT_FALSE(read_certificate("nothing").good);
}

TEST(TlsCertificate, KeepsNamesByTheirKind) {
  const ClientCertificate made = read([](X509* to) {
    add_name(to, "O", "Example");
    add_name(to, "CN", "caf\xc3\xa9");
    add_name(to, "CN", "second");
    add_alternative(to, GEN_URI, {"spiffe://example.org/a", "https://example.org"});
  });
  EXPECT_TRUE(made.good);
  EXPECT_EQ(made.common_names, (std::vector<std::string>{"caf\xc3\xa9", "second"}));
  EXPECT_EQ(made.uris, (std::vector<std::string>{"spiffe://example.org/a", "https://example.org"}));
  EXPECT_EQ(made.serial, "0abc");
  EXPECT_EQ(made.not_after, 2'000'000'000);
}

TEST(TlsCertificate, TrustsNoNameWithAControlOctet) {
  const std::vector<Change> tricks = {
      [](X509* to) { add_name(to, "CN", std::string("admin\0.evil", 11)); },
      [](X509* to) { add_name(to, "CN", "admin\n"); },
      [](X509* to) { add_name(to, "CN", "a"), add_name(to, "O", "b\r\nX-Admin: 1"); },
      [](X509* to) { add_name(to, "CN", "a"), add_alternative(to, GEN_DNS, {std::string("a.test\0.evil", 12)}); },
      [](X509* to) { add_name(to, "CN", "a"), add_alternative(to, GEN_URI, {"spiffe://example.org/a b"}); },
      [](X509* to) { add_name(to, "CN", "a"), add_alternative(to, GEN_EMAIL, {"caf\xc3\xa9@example.org"}); },
      [](X509* to) { add_name(to, "CN", "a"), add_alternative(to, GEN_DNS, {""}); },
  };
  for (std::size_t i = 0; i < tricks.size(); ++i) EXPECT_FALSE(read(tricks[i]).good) << i;
}

TEST(TlsCertificate, BoundsWhatItKeeps) {
  EXPECT_TRUE(read([](X509* to) { add_alternative(to, GEN_DNS, std::vector<std::string>(64, "a.test")); }).good);
  EXPECT_FALSE(read([](X509* to) { add_alternative(to, GEN_DNS, std::vector<std::string>(65, "a.test")); }).good);
  const ClientCertificate large = read([](X509* to) { add_alternative(to, GEN_URI, {std::string(20'000, 'a')}); });
  EXPECT_FALSE(large.good);
  EXPECT_TRUE(large.uris.empty());
}

}  // namespace
}  // namespace sluice::net
