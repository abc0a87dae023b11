// TlsStream against itself, both ends on one loop and one Turn, over a socket pair.
#include "net/tls_stream.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_client.h"
#include "net/tls_profile.h"
#include "support/keys.h"
#include "support/stream_pair.h"

namespace sluice::net {
namespace {

using test::Bench;
using test::Holder;

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

// Made once: keys cost time.
const CertificateSettings& own_certificate() {
  static const CertificateSettings made = self_signed_certificate({"gw.test", "127.0.0.1"});
  return made;
}
const CertificateSettings& wildcard_certificate() {
  static const CertificateSettings made = self_signed_certificate({"*.example.test"});
  return made;
}
// Signed by itself and for clients: self_signed_certificate() makes those of servers.
const CertificateSettings& client_certificate() {
  static const CertificateSettings made = [] {
    const test::KeyPair& key = test::p256_key();
    X509* raw = X509_new();
    X509_set_version(raw, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(raw), 1);
    X509_gmtime_adj(X509_getm_notBefore(raw), -60);
    X509_gmtime_adj(X509_getm_notAfter(raw), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("client"), -1, -1, 0);
    X509_set_issuer_name(raw, X509_get_subject_name(raw));
    X509_set_pubkey(raw, key.raw());
    for (const auto& [id, value] : {std::pair{NID_basic_constraints, "critical,CA:TRUE"},
                                    std::pair{NID_ext_key_usage, "clientAuth"},
                                    std::pair{NID_subject_alt_name, "DNS:client.test"}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
      X509_add_ext(raw, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(raw, key.raw(), EVP_sha256());
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, raw);
    char* at = nullptr;
    const long size = BIO_get_mem_data(out, &at);
    CertificateSettings made_now;
    made_now.certificate.assign(at, static_cast<std::size_t>(size));
    made_now.key = Secret(key.private_pem());
    BIO_free(out);
    X509_free(raw);
    return made_now;
  }();
  return made;
}

TlsSettings served(std::vector<CertificateSettings> certificates) {
  TlsSettings settings;
  settings.certificates = std::move(certificates);
  return settings;
}

std::unique_ptr<TlsProfile> profile(CryptoContext& crypto, const TlsSettings& settings,
                                    const TicketKeys& tickets = fresh_ticket_keys()) {
  std::string why;
  auto made = TlsProfile::make(crypto, settings, tickets, why);
  if (!made) throw std::runtime_error(why);
  return made;
}
std::unique_ptr<TlsClient> client(CryptoContext& crypto, const TlsClientSettings& settings) {
  std::string why;
  auto made = TlsClient::make(crypto, settings, why);
  if (!made) throw std::runtime_error(why);
  return made;
}

// A client and a server end.
struct Pair {
  Pair(Bench& its_bench, ssl_st* connect, ssl_st* accept, std::pair<Fd, Fd> fds = test::loopback_pair())
      : bench(its_bench),
        a(std::make_unique<TlsStream>(bench.place, std::move(fds.first), connect, false)),
        b(std::make_unique<TlsStream>(bench.place, std::move(fds.second), accept, false)) {}
  TlsStream& client() { return static_cast<TlsStream&>(*a.stream); }
  TlsStream& server() { return static_cast<TlsStream&>(*b.stream); }
  bool shake() {
    a.work();
    b.work();
    return bench.until([&] { return (client().established() && server().established()) || a.failed || b.failed; }) &&
           client().established() && server().established();
  }
  bool until(const std::function<bool()>& so) { return bench.until(so); }

  Bench& bench;
  Holder a;
  Holder b;
};

struct TlsStreamTest : testing::Test {
  Bench bench;
  CryptoContext crypto;
  std::unique_ptr<TlsProfile> server = profile(crypto, served({own_certificate()}));
  std::unique_ptr<TlsClient> peer = client(crypto, {.ca = own_certificate().certificate, .certificate = {}, .key = {}});
};

TEST_F(TlsStreamTest, ShakesHandsAndCarriesOctetsBothWays) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake()) << pair.client().failure() << pair.server().failure();
  EXPECT_EQ(pair.server().version(), "TLSv1.3");
  EXPECT_EQ(pair.server().sni(), "gw.test");
  EXPECT_FALSE(pair.server().has_client_certificate());
  pair.a.say("hello");
  pair.b.say("welcome");
  EXPECT_TRUE(pair.until([&] { return pair.b.in == "hello" && pair.a.in == "welcome"; }));
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TlsStreamTest, DeliversDataThatComesInTheFlightOfFinished) {
  // The client speaks at once: its first record follows its Finished in one segment.
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  pair.b.reads = false;
  pair.a.say("GET / HTTP/1.1\r\n\r\n");
  // The server reads as Arrival does: until established, and then looks at what is there.
  ASSERT_TRUE(pair.until([&] {
    while (!pair.server().established() && pair.server().fill() == Io::ok) pair.server().settle();
    pair.server().settle();
    return pair.server().established();
  }));
  pair.b.reads = true;
  EXPECT_TRUE(pair.until([&] {
    pair.b.work();
    return pair.b.in + std::string(as_text(pair.server().received())) == "GET / HTTP/1.1\r\n\r\n";
  }));
}

TEST_F(TlsStreamTest, ReportsNoEarlyStarvationWhileOctetsWaitInside) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.b.reads = false;
  const std::string much = pattern(300'000);
  pair.a.say(much);
  std::string got;
  EXPECT_TRUE(pair.until([&] {
    while (pair.server().fill() == Io::ok) {
      EXPECT_LE(pair.server().received().size(), kChunk + kSlack);
      got += as_text(pair.server().received());
      pair.server().consume(pair.server().received().size());
      pair.server().settle();
    }
    return got.size() == much.size();
  }));
  EXPECT_EQ(got, much);
}

TEST_F(TlsStreamTest, CarriesLargeAmountsBothWaysAtOnce) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  const std::string up = pattern(5'000'001);
  const std::string down = pattern(3'000'017);
  pair.a.say(up);
  pair.b.say(down);
  EXPECT_TRUE(pair.until([&] { return pair.b.in.size() == up.size() && pair.a.in.size() == down.size(); }));
  EXPECT_EQ(pair.b.in, up);
  EXPECT_EQ(pair.a.in, down);
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TlsStreamTest, JamsKeepsABoundedRestAndGoesOn) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.a.reads = false;
  const std::string much = pattern(20'000'000);
  pair.b.say(much);
  ASSERT_TRUE(pair.until([&] { return pair.b.stream->jammed(); }));
  EXPECT_FALSE(pair.b.out.empty());
  EXPECT_LE(pair.server().owed(), 128u * 1024);
  EXPECT_LE(bench.pool.lent(), 256u * 1024);
  // While it is jammed it takes nothing more.
  std::size_t taken = 1;
  const Bytes part = as_bytes("x");
  EXPECT_EQ(pair.server().write({&part, 1}, taken), Io::blocked);
  EXPECT_EQ(taken, 0u);
  pair.a.reads = true;
  pair.a.work();
  EXPECT_TRUE(pair.until([&] { return pair.a.in.size() == much.size(); }));
  EXPECT_EQ(pair.a.in, much);
  EXPECT_EQ(pair.server().owed(), 0u);
  EXPECT_EQ(bench.pool.lent(), 0u);
}

TEST_F(TlsStreamTest, JoinsSmallPartsInOneRecord) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  std::vector<std::string> texts(net::kMostParts, "part ");
  std::vector<Bytes> parts;
  for (const std::string& text : texts) parts.push_back(as_bytes(text));
  std::size_t taken = 0;
  EXPECT_EQ(pair.client().write(parts, taken), Io::ok);
  EXPECT_EQ(taken, 5 * net::kMostParts);
  EXPECT_TRUE(pair.until([&] { return pair.b.in.size() == taken; }));
}

TEST_F(TlsStreamTest, EndsInOrderWithCloseNotifyBehindWhatItOwes) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  const std::string much = pattern(10'000'000);
  pair.a.reads = false;
  pair.b.finishes = true;
  pair.b.say(much);
  pair.a.reads = true;
  pair.a.work();
  EXPECT_TRUE(pair.until([&] { return pair.a.ended; }));
  EXPECT_EQ(pair.a.in.size(), much.size());
  EXPECT_FALSE(pair.a.failed);
}

TEST_F(TlsStreamTest, TakesAnAbruptEndForTheEndOrAnErrorButNeverForMore) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.b.say("last");
  ASSERT_TRUE(pair.until([&] { return pair.a.in == "last"; }));
  pair.server().close();
  EXPECT_TRUE(pair.until([&] { return pair.a.ended || pair.a.failed; }));
  EXPECT_EQ(pair.a.in, "last");
}

TEST_F(TlsStreamTest, ReportsAReset) {
  Pair pair(bench, peer->connect("gw.test"), server->accept());
  ASSERT_TRUE(pair.shake());
  pair.server().abort();
  // It may come together with the last octets and then has no edge of its own: a sweep finds it.
  EXPECT_TRUE(pair.until([&] {
    if (pair.client().recheck()) pair.a.work();
    return pair.a.failed;
  }));
}

TEST_F(TlsStreamTest, RefusesWhoSpeaksNoTls) {
  auto fds = test::loopback_pair();
  Holder plain(std::make_unique<TcpStream>(bench.place, std::move(fds.first), false));
  Holder tls(std::make_unique<TlsStream>(bench.place, std::move(fds.second), server->accept(), false));
  plain.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(bench.until([&] { return tls.failed; }));
  EXPECT_NE(static_cast<TlsStream&>(*tls.stream).failure(), "");
  EXPECT_EQ(tls.in, "");
}

TEST_F(TlsStreamTest, RefusesAnUnknownAuthority) {
  auto stranger = client(crypto, {.ca = wildcard_certificate().certificate, .certificate = {}, .key = {}});
  Pair pair(bench, stranger->connect("gw.test"), server->accept());
  EXPECT_FALSE(pair.shake());
  EXPECT_TRUE(pair.a.failed);
  EXPECT_NE(pair.client().failure(), "");
}

TEST_F(TlsStreamTest, RefusesAnotherName) {
  Pair pair(bench, peer->connect("other.test"), server->accept());
  EXPECT_FALSE(pair.shake());
  EXPECT_TRUE(pair.a.failed);
}

TEST_F(TlsStreamTest, VerifiesAnAddressByItsLiteral) {
  Pair pair(bench, peer->connect("127.0.0.1"), server->accept());
  EXPECT_TRUE(pair.shake()) << pair.client().failure();
  EXPECT_EQ(pair.server().sni(), "");
}

TEST_F(TlsStreamTest, PicksTheCertificateByName) {
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

TEST_F(TlsStreamTest, RefusesUnknownNamesWhenStrict) {
  TlsSettings settings = served({own_certificate()});
  settings.strict_sni = true;
  auto strict = profile(crypto, settings);
  Pair known(bench, peer->connect("gw.test"), strict->accept());
  EXPECT_TRUE(known.shake());
  Pair unknown(bench, peer->connect("other.test"), strict->accept());
  EXPECT_FALSE(unknown.shake());
  EXPECT_TRUE(unknown.b.failed);
}

TEST_F(TlsStreamTest, AsksForAClientCertificate) {
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

TEST_F(TlsStreamTest, TakesClientsWithoutACertificateWhenItIsOptional) {
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

struct TlsResumptionTest : TlsStreamTest {
  // One handshake and some octets both ways: the ticket that the client has then, and whether this one was resumed.
  std::pair<Session, bool> visit(TlsProfile& at, SSL_SESSION* with) {
    ssl_st* raw = peer->connect("gw.test");
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

}  // namespace
}  // namespace sluice::net
