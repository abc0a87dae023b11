#include "policy/client_cert.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

using Subject = ClientCertSettings::Subject;

const WallTime kNow{std::chrono::seconds(1'000)};

net::ClientCertificate meter() {
  net::ClientCertificate one;
  one.subject = "CN=meter,O=Example";
  one.issuer = "CN=CA";
  one.serial = "0a";
  one.sha256 = std::string(64, 'f');
  one.not_after = 2'000;
  one.common_names = {"meter"};
  one.dns = {"meter.example"};
  one.uris = {"spiffe://example.org/meter"};
  one.emails = {"meter@example.org"};
  return one;
}

std::string subject(Subject kind, const net::ClientCertificate& certificate, std::vector<std::string> domains = {}) {
  const auto who = identify(certificate, {kind, std::move(domains)}, kNow);
  return who ? who->subject : "(" + std::string(row(who.error().code).name) + ")";
}

TEST(ClientCert, IsNamedByOneOfItsNames) {
  EXPECT_EQ(subject(Subject::cn, meter()), "meter");
  EXPECT_EQ(subject(Subject::dn, meter()), "CN=meter,O=Example");
  EXPECT_EQ(subject(Subject::san_dns, meter()), "meter.example");
  EXPECT_EQ(subject(Subject::san_uri, meter()), "spiffe://example.org/meter");
  EXPECT_EQ(subject(Subject::san_email, meter()), "meter@example.org");
  EXPECT_EQ(subject(Subject::spiffe, meter()), "spiffe://example.org/meter");
}

TEST(ClientCert, SaysTheRestInClaims) {
  const auto who = identify(meter(), {}, kNow);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->method, "client_cert");
  EXPECT_TRUE(who->expires);
  EXPECT_EQ(who->expiry, WallTime(std::chrono::seconds(2'000)));
  const auto text = [&](const char* name) { return who->claims.find(name)->text(); };
  EXPECT_EQ(text("sub"), "meter");
  EXPECT_EQ(text("cn"), "meter");
  EXPECT_EQ(text("dn"), "CN=meter,O=Example");
  EXPECT_EQ(text("issuer_dn"), "CN=CA");
  EXPECT_EQ(text("serial"), "0a");
  EXPECT_EQ(text("fingerprint_sha256"), std::string(64, 'f'));
  EXPECT_EQ(text("spiffe_id"), "spiffe://example.org/meter");
  for (const char* list : {"san_dns", "san_uri", "san_email"}) EXPECT_EQ(who->claims.find(list)->items().size(), 1u) << list;
}

TEST(ClientCert, RefusesWhatIsAmbiguousOrMissing) {
  net::ClientCertificate several = meter();
  several.common_names.push_back("admin");
  several.dns.push_back("admin.example");
  several.uris.push_back("spiffe://example.org/admin");
  several.emails.push_back("admin@example.org");
  net::ClientCertificate none;
  none.not_after = 2'000;
  for (const Subject kind : {Subject::cn, Subject::san_dns, Subject::san_uri, Subject::san_email, Subject::spiffe}) {
    EXPECT_EQ(subject(kind, several), "(bad_certificate)") << static_cast<int>(kind);
    EXPECT_EQ(subject(kind, none), "(bad_certificate)") << static_cast<int>(kind);
  }
  EXPECT_EQ(subject(Subject::dn, none), "(bad_certificate)");
  EXPECT_EQ(subject(Subject::dn, several), "CN=meter,O=Example");
  net::ClientCertificate tricky = meter();
  tricky.good = false;
  EXPECT_EQ(subject(Subject::cn, tricky), "(bad_certificate)");
}

TEST(ClientCert, TakesTheTrustDomainsThatAreListed) {
  EXPECT_EQ(subject(Subject::spiffe, meter(), {"other.org", "example.org"}), "spiffe://example.org/meter");
  EXPECT_EQ(subject(Subject::spiffe, meter(), {"other.org"}), "(bad_certificate)");
  net::ClientCertificate other = meter();
  other.uris = {"https://example.org/meter"};
  EXPECT_EQ(subject(Subject::spiffe, other), "(bad_certificate)");
  EXPECT_EQ(subject(Subject::san_uri, other), "https://example.org/meter");
}

TEST(ClientCert, EndsWithTheCertificate) {
  EXPECT_TRUE(identify(meter(), {}, WallTime(std::chrono::seconds(1'999))));
  EXPECT_EQ(identify(meter(), {}, WallTime(std::chrono::seconds(2'000))).error().code, Errc::token_expired);
}

}  // namespace
}  // namespace sluice::policy
