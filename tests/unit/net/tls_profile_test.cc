// What a TlsProfile serves: versions, certificates by name, ALPN, client certificates, tickets; and what it refuses.
#include "net/tls_profile.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "support/tls_pair.h"

namespace sluice::net {
namespace {

using test::client;
using test::client_certificate;
using test::own_certificate;
using test::Pair;
using test::profile;
using test::served;
using test::wildcard_certificate;

// Wire form of ALPN (RFC 7301 section 3.1).
std::string protocols(std::initializer_list<std::string_view> names) {
  std::string wire;
  for (const std::string_view name : names) wire.append(1, static_cast<char>(name.size())).append(name);
  return wire;
}

struct TlsProfileTest : test::TlsTest {
  // A client's SSL to which the test may set what TlsClient does not.
  ssl_st* connect() { return peer->connect("gw.test"); }
  static void offer(ssl_st* ssl, const std::string& wire) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
  }
  bool shakes(ssl_st* with, const TlsProfile& at) { return Pair(bench, with, at.accept()).shake(); }
};

// ---- versions and suites ------------------------------------------------------------------------------------------------

TEST_F(TlsProfileTest, SpeaksTls12And13AndNothingOlder) {
  for (const auto& [version, good] : {std::pair{TLS1_1_VERSION, false}, std::pair{TLS1_2_VERSION, true},
                                      std::pair{TLS1_3_VERSION, true}}) {
    ssl_st* raw = connect();
    SSL_set_security_level(raw, 0);  // so that it is the server who refuses
    SSL_set_min_proto_version(raw, version);
    SSL_set_max_proto_version(raw, version);
    EXPECT_EQ(shakes(raw, *server), good) << version;
  }
}

TEST_F(TlsProfileTest, RefusesTls12WhereTheListenerWants13) {
  TlsSettings settings = served({own_certificate()});
  settings.min_version = "1.3";
  auto newest = profile(crypto, settings);
  ssl_st* old = connect();
  SSL_set_max_proto_version(old, TLS1_2_VERSION);
  EXPECT_FALSE(shakes(old, *newest));
  EXPECT_TRUE(shakes(connect(), *newest));
}

TEST_F(TlsProfileTest, TakesForwardSecretAeadSuitesOnly) {
  for (const auto& [suite, good] :
       {std::pair{"ECDHE-ECDSA-AES128-GCM-SHA256", true}, std::pair{"ECDHE-ECDSA-CHACHA20-POLY1305", true},
        std::pair{"ECDHE-ECDSA-AES128-SHA256", false}, std::pair{"ECDHE-ECDSA-AES128-CCM", false}}) {
    ssl_st* raw = connect();
    SSL_set_max_proto_version(raw, TLS1_2_VERSION);
    ASSERT_EQ(SSL_set_cipher_list(raw, suite), 1) << suite;
    EXPECT_EQ(shakes(raw, *server), good) << suite;
  }
}

TEST_F(TlsProfileTest, NeitherCompressesNorTakesEarlyDataNorKeepsBuffers) {
  ssl_st* raw = connect();
  Pair pair(bench, raw, server->accept());
  ASSERT_TRUE(pair.shake());
  pair.b.say("welcome");
  ASSERT_TRUE(pair.until([&] { return pair.a.in == "welcome"; }));
  EXPECT_EQ(SSL_get_current_compression(raw), nullptr);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(SSL_get0_session(raw)), 0u);
  const std::unique_ptr<ssl_st, decltype(&SSL_free)> one(server->accept(), SSL_free);
  EXPECT_NE(SSL_get_mode(one.get()) & SSL_MODE_RELEASE_BUFFERS, 0);
  EXPECT_NE(SSL_get_options(one.get()) & SSL_OP_NO_COMPRESSION, 0u);
}

// A37. A client of TLS 1.2 that asks again is told no_renegotiation, or cut; there is no second handshake.
TEST_F(TlsProfileTest, RefusesARenegotiation) {
  auto fds = test::loopback_pair();
  test::Holder end(std::make_unique<TlsStream>(bench.place, std::move(fds.second), server->accept(), false));
  const std::unique_ptr<ssl_st, decltype(&SSL_free)> raw(connect(), SSL_free);
  SSL_set_max_proto_version(raw.get(), TLS1_2_VERSION);
  SSL_clear_options(raw.get(), SSL_OP_NO_RENEGOTIATION);
  SSL_set_fd(raw.get(), fds.first.get());
  const auto shake = [&] {
    int result = 0;
    EXPECT_TRUE(bench.until([&] {
      ERR_clear_error();
      result = SSL_do_handshake(raw.get());
      return result == 1 || SSL_get_error(raw.get(), result) != SSL_ERROR_WANT_READ;
    }));
    return result;
  };
  ASSERT_EQ(shake(), 1);
  ASSERT_EQ(SSL_renegotiate(raw.get()), 1);
  EXPECT_NE(shake(), 1);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
  ERR_clear_error();
}

// ---- ALPN ---------------------------------------------------------------------------------------------------------------

TEST_F(TlsProfileTest, ChoosesAProtocolByItsOwnOrder) {
  TlsSettings settings = served({own_certificate()});
  settings.alpn = {"one", "two"};
  auto two = profile(crypto, settings);
  ssl_st* raw = connect();
  offer(raw, protocols({"three", "two", "one"}));
  Pair pair(bench, raw, two->accept());
  ASSERT_TRUE(pair.shake());
  EXPECT_EQ(pair.server().alpn(), "one");
}

TEST_F(TlsProfileTest, RefusesAClientWithWhomItSharesNoProtocol) {
  ssl_st* raw = connect();
  offer(raw, protocols({"h2", "h3"}));
  EXPECT_FALSE(shakes(raw, *server));
}

TEST_F(TlsProfileTest, TakesAClientThatOffersNoProtocol) {
  ssl_st* raw = connect();
  offer(raw, "");
  Pair pair(bench, raw, server->accept());
  ASSERT_TRUE(pair.shake());
  EXPECT_EQ(pair.server().alpn(), "");
}

// ---- certificates -------------------------------------------------------------------------------------------------------

TEST_F(TlsProfileTest, IsNotMadeOfWhatDoesNotFit) {
  const auto refused = [&](TlsSettings settings) {
    std::string why;
    EXPECT_EQ(TlsProfile::make(crypto, settings, fresh_ticket_keys(), why), nullptr);
    EXPECT_EQ(ERR_peek_error(), 0u) << "an error is left in the thread's queue";
    return why;
  };
  CertificateSettings mixed = own_certificate();
  mixed.name = "mixed";
  mixed.key = wildcard_certificate().key;
  EXPECT_EQ(refused(served({mixed})), "mixed: the key does not belong to the certificate");
  EXPECT_EQ(refused(served({own_certificate(), mixed})), "mixed: the key does not belong to the certificate");
  CertificateSettings no_key = own_certificate();
  no_key.key = Secret(std::string("nonsense"));
  EXPECT_NE(refused(served({no_key})).find("the key cannot be read"), std::string::npos);
  CertificateSettings no_certificate = own_certificate();
  no_certificate.certificate = "nonsense";
  EXPECT_NE(refused(served({no_certificate})).find("not a certificate"), std::string::npos);
  EXPECT_EQ(refused(served({})), "no certificate");
  TlsSettings no_authority = served({own_certificate()});
  no_authority.client_auth = TlsSettings::ClientAuth::optional;
  no_authority.client_ca = "nonsense";
  EXPECT_EQ(refused(no_authority), "client_ca holds no certificate");
}

TEST_F(TlsProfileTest, ServesTheFirstCertificateToWhoNamesNothing) {
  auto both = profile(crypto, served({own_certificate(), wildcard_certificate()}));
  EXPECT_TRUE(shakes(peer->connect("127.0.0.1"), *both));
}

TEST_F(TlsProfileTest, PrefersAnExactNameToAWildcard) {
  const CertificateSettings exact = self_signed_certificate({"a.example.test"});
  auto both = profile(crypto, served({wildcard_certificate(), exact}));
  auto trusting = client(crypto, {.ca = exact.certificate, .certificate = {}, .key = {}});
  EXPECT_TRUE(shakes(trusting->connect("a.example.test"), *both));
}

TEST_F(TlsProfileTest, PicksTheCertificateByName) {
  auto both = profile(crypto, served({own_certificate(), wildcard_certificate()}));
  auto own = client(crypto, {.ca = own_certificate().certificate, .certificate = {}, .key = {}});
  auto wild = client(crypto, {.ca = wildcard_certificate().certificate, .certificate = {}, .key = {}});
  const auto fits = [&](TlsClient& with, const char* name) {
    Pair pair(bench, with.connect(name), both->accept());
    return pair.shake();
  };
  EXPECT_TRUE(fits(*own, "gw.test"));
  EXPECT_TRUE(fits(*wild, "a.example.test"));
  EXPECT_TRUE(fits(*wild, "B.Example.Test"));
  EXPECT_FALSE(fits(*wild, "a.b.example.test"));  // one label only
  EXPECT_FALSE(fits(*wild, "example.test"));
}

TEST_F(TlsProfileTest, RefusesUnknownNamesWhenStrict) {
  TlsSettings settings = served({own_certificate()});
  settings.strict_sni = true;
  auto strict = profile(crypto, settings);
  Pair known(bench, peer->connect("gw.test"), strict->accept());
  EXPECT_TRUE(known.shake());
  Pair unknown(bench, peer->connect("other.test"), strict->accept());
  EXPECT_FALSE(unknown.shake());
  EXPECT_TRUE(unknown.b.failed);
}

TEST_F(TlsProfileTest, AsksForAClientCertificate) {
  TlsSettings settings = served({own_certificate()});
  settings.client_auth = TlsSettings::ClientAuth::required;
  settings.client_ca = client_certificate().certificate;
  auto asking = profile(crypto, settings);
  TlsClientSettings with{.ca = own_certificate().certificate, .certificate = client_certificate().certificate, .key = {}};
  with.key = client_certificate().key;

  Pair good(bench, client(crypto, with)->connect("gw.test"), asking->accept());
  ASSERT_TRUE(good.shake()) << good.server().failure();
  EXPECT_TRUE(good.server().has_client_certificate());
  EXPECT_EQ(good.server().client_san(), "client.test");
  EXPECT_NE(good.server().client_subject(), "");

  Pair without(bench, peer->connect("gw.test"), asking->accept());
  without.a.work();
  without.b.work();
  EXPECT_TRUE(bench.until([&] { return without.b.failed; }));
  EXPECT_FALSE(without.server().established());
}

// A list of the certificates that client_certificate() has revoked, which is its own authority; it ends then.
std::string revoked(std::vector<long> serials, long ends_in) {
  BIO* in = BIO_new_mem_buf(client_certificate().certificate.data(), -1);
  X509* issuer = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
  X509_CRL* list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer));
  ASN1_TIME* when = X509_gmtime_adj(nullptr, -60);
  X509_CRL_set1_lastUpdate(list, when);
  for (const long serial : serials) {
    X509_REVOKED* one = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(one, number);
    X509_REVOKED_set_revocationDate(one, when);
    X509_CRL_add0_revoked(list, one);
    ASN1_INTEGER_free(number);
  }
  X509_gmtime_adj(when, ends_in);
  X509_CRL_set1_nextUpdate(list, when);
  X509_CRL_sign(list, test::p256_key().raw(), EVP_sha256());
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_CRL(out, list);
  char* at = nullptr;
  const long size = BIO_get_mem_data(out, &at);
  std::string text(at, static_cast<std::size_t>(size));
  for (BIO* bio : {in, out}) BIO_free(bio);
  ASN1_TIME_free(when);
  X509_CRL_free(list);
  X509_free(issuer);
  return text;
}

TEST_F(TlsProfileTest, HoldsClientCertificatesAgainstTheListOfRevokedOnes) {
  TlsSettings settings = served({own_certificate()});
  settings.client_auth = TlsSettings::ClientAuth::required;
  settings.client_ca = client_certificate().certificate;
  TlsClientSettings with{.ca = own_certificate().certificate, .certificate = client_certificate().certificate, .key = {}};
  with.key = client_certificate().key;
  struct Case {
    std::string list;
    bool good, unusable;
  };
  for (const Case& one : {Case{revoked({}, 600), true, false}, Case{revoked({2, 3}, 600), true, false},
                          Case{revoked({2, 1}, 600), false, false}, Case{revoked({}, -30), false, true}}) {
    settings.client_crl = one.list;
    auto asking = profile(crypto, settings);
    Pair pair(bench, client(crypto, with)->connect("gw.test"), asking->accept());
    EXPECT_EQ(pair.shake() && !pair.b.failed, one.good) << pair.server().failure();
    EXPECT_TRUE(one.good || bench.until([&] { return pair.b.failed; }));
    EXPECT_EQ(pair.server().crl_unusable(), one.unusable) << pair.server().failure();
  }
}

TEST_F(TlsProfileTest, RefusesAListThatItCannotRead) {
  TlsSettings settings = served({own_certificate()});
  settings.client_auth = TlsSettings::ClientAuth::required;
  settings.client_ca = client_certificate().certificate;
  const std::string good = revoked({}, 600);
  for (const std::string& text : {std::string("nothing"), std::string("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
                                  good + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", good.substr(0, good.size() / 2)}) {
    settings.client_crl = text;
    std::string why;
    EXPECT_FALSE(TlsProfile::make(crypto, settings, fresh_ticket_keys(), why));
    EXPECT_NE(why.find("crl_file"), std::string::npos) << why;
  }
}

TEST_F(TlsProfileTest, TakesClientsWithoutACertificateWhenItIsOptional) {
  TlsSettings settings = served({own_certificate()});
  settings.client_auth = TlsSettings::ClientAuth::optional;
  settings.client_ca = client_certificate().certificate;
  auto asking = profile(crypto, settings);
  Pair pair(bench, peer->connect("gw.test"), asking->accept());
  EXPECT_TRUE(pair.shake());
  EXPECT_FALSE(pair.server().has_client_certificate());
}

// ---- resumption -------------------------------------------------------------------------------------------------------

using Session = std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)>;

struct TlsResumptionTest : TlsProfileTest {
  // One handshake and some octets both ways: the ticket that the client has then, and whether this one was resumed.
  std::pair<Session, bool> visit(TlsProfile& at, SSL_SESSION* with, int newest = TLS1_3_VERSION) {
    ssl_st* raw = connect();
    SSL_set_max_proto_version(raw, newest);
    if (with) SSL_set_session(raw, with);
    Pair pair(bench, raw, at.accept());
    EXPECT_TRUE(pair.shake()) << pair.client().failure();
    pair.b.say("welcome");
    EXPECT_TRUE(pair.until([&] { return pair.a.in == "welcome"; }));
    EXPECT_EQ(pair.client().resumed(), pair.server().resumed());
    // A copy: what ends without close_notify may not be resumed, and marks its own.
    return {Session(SSL_SESSION_dup(SSL_get0_session(raw)), SSL_SESSION_free), pair.server().resumed()};
  }
};

TEST_F(TlsResumptionTest, WorksAcrossProfilesWithTheSameKeys) {
  const TicketKeys keys = fresh_ticket_keys();
  CryptoContext elsewhere;
  auto first = profile(crypto, served({own_certificate()}), keys);
  auto second = profile(elsewhere, served({own_certificate()}), keys);
  auto [ticket, fresh] = visit(*first, nullptr);
  EXPECT_FALSE(fresh);
  auto [again, resumed] = visit(*second, ticket.get());
  EXPECT_TRUE(resumed);
  EXPECT_TRUE(visit(*first, again.get()).second);  // a resumed handshake brought a ticket of its own
}

TEST_F(TlsResumptionTest, DoesNotWorkWithOtherKeys) {
  auto first = profile(crypto, served({own_certificate()}));
  auto second = profile(crypto, served({own_certificate()}));
  auto [ticket, fresh] = visit(*first, nullptr);
  EXPECT_FALSE(visit(*second, ticket.get()).second);
}

TEST_F(TlsResumptionTest, OutlivesTwoRotationsOfTheKeys) {
  TicketKeys keys = fresh_ticket_keys();
  auto served_by = profile(crypto, served({own_certificate()}), keys);
  const auto [ticket, fresh] = visit(*served_by, nullptr);
  for (int rotation = 1; rotation <= 3; ++rotation) {
    keys = rotate(keys);
    served_by->set_ticket_keys(keys);
    EXPECT_EQ(visit(*served_by, ticket.get()).second, rotation < 3) << rotation;
  }
}

TEST_F(TlsResumptionTest, RenewsATicketOfAnOlderKey) {
  TicketKeys keys = fresh_ticket_keys();
  auto served_by = profile(crypto, served({own_certificate()}), keys);
  auto [ticket, fresh] = visit(*served_by, nullptr);
  keys = rotate(keys);
  served_by->set_ticket_keys(keys);
  auto [renewed, resumed] = visit(*served_by, ticket.get());
  EXPECT_TRUE(resumed);
  // The new one is under the newest key: it outlives two more rotations, which the first would not.
  for (int i = 0; i < 2; ++i) keys = rotate(keys);
  served_by->set_ticket_keys(keys);
  EXPECT_FALSE(visit(*served_by, ticket.get()).second);
  EXPECT_TRUE(visit(*served_by, renewed.get()).second);
}

TEST_F(TlsResumptionTest, DoesNotWorkAcrossCertificates) {
  const TicketKeys keys = fresh_ticket_keys();
  auto first = profile(crypto, served({own_certificate()}), keys);
  CertificateSettings renewed = self_signed_certificate({"gw.test"});
  auto second = profile(crypto, served({renewed}), keys);
  const auto [ticket, fresh] = visit(*first, nullptr);
  ssl_st* raw = client(crypto, {.ca = renewed.certificate, .certificate = {}, .key = {}})->connect("gw.test");
  SSL_set_session(raw, ticket.get());
  Pair pair(bench, raw, second->accept());
  ASSERT_TRUE(pair.shake());
  EXPECT_FALSE(pair.server().resumed());
}

// T10: who was let in without a certificate has no pass for where one is required.
TEST_F(TlsResumptionTest, DoesNotLeadPastAStricterPolicyForClients) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TicketKeys keys = fresh_ticket_keys();
    TlsSettings settings = served({own_certificate()});
    settings.client_ca = client_certificate().certificate;
    settings.client_auth = TlsSettings::ClientAuth::optional;
    auto optional = profile(crypto, settings, keys);
    settings.client_auth = TlsSettings::ClientAuth::required;
    auto required = profile(crypto, settings, keys);
    const auto [ticket, fresh] = visit(*optional, nullptr, version);
    ssl_st* raw = connect();
    SSL_set_max_proto_version(raw, version);
    SSL_set_session(raw, ticket.get());
    Pair pair(bench, raw, required->accept());
    pair.a.work();
    pair.b.work();
    EXPECT_TRUE(bench.until([&] { return pair.b.failed || pair.server().established(); }));
    EXPECT_FALSE(pair.server().established()) << version;
  }
}

}  // namespace
}  // namespace sluice::net
