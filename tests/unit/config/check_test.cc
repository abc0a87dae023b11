// The meaning of configurations: combinations, references and files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loading.h"

namespace sluice::config {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Loads `extra` behind a small configuration, in a folder with credentials.
class Check : public ::testing::Test {
 protected:
  Check() { folder_.write_credentials(); }
  Loaded load_with(std::string_view extra) { return load(folder_.write("t.toml", around(extra))); }
  void expect_error(std::string_view extra, const std::string& message) {
    const Loaded loaded = load_with(extra);
    EXPECT_FALSE(loaded.ok()) << extra;
    EXPECT_THAT(brief(loaded), HasSubstr("error: " + message)) << extra;
  }
  void expect_warning(std::string_view extra, const std::string& message) {
    const Loaded loaded = load_with(extra);
    EXPECT_TRUE(loaded.ok()) << text_of(loaded);
    EXPECT_THAT(brief(loaded), HasSubstr("warning: " + message)) << extra;
  }
  Settings expect_good(std::string_view extra) {
    Loaded loaded = load_with(extra);
    EXPECT_TRUE(loaded.ok()) << extra << "\n" << text_of(loaded);
    return std::move(loaded.settings);
  }
  static std::string jwt(std::string_view rest) {
    return "[auth.a]\ntype = \"jwt\"\n" + std::string(rest) + "\n";
  }
  static std::string good_jwt(std::string_view rest = "") {
    return jwt("algorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\n" + std::string(rest));
  }
  static std::string limit(std::string_view rest) { return "[rate_limit.l]\n" + std::string(rest) + "\n"; }
  static std::string route(std::string_view rest) {
    return "[[route]]\npath = \"/r\"\nbackend = \"app\"\n" + std::string(rest) + "\n";
  }
  static std::string servers(std::string_view url) {
    return "[backend.b]\nservers = [\"" + std::string(url) + "\"]\n";
  }
  Folder folder_;
};

TEST_F(Check, ProxyHeadersComeFromNamedProxiesOnly) {
  const std::string listener = "[[listener]]\nbind = \":1\"\n";
  expect_error(listener + "proxy_protocol = \"required\"\n", "'proxy_protocol' needs 'proxy_protocol_from'");
  expect_error(listener + "proxy_protocol = \"required\"\nproxy_protocol_from = []\n",
               "'proxy_protocol' needs 'proxy_protocol_from'");
  expect_error(listener + "proxy_protocol = \"required\"\nproxy_protocol_from = [\"10.0.0.1/8\"]\n",
               "'10.0.0.1/8' is no block of addresses");
  expect_error(listener + "proxy_protocol_from = [\"10.0.0.0/8\"]\n", "'proxy_protocol_from' has no effect");
  expect_error(listener + "proxy_protocol = \"auto\"\n", "'proxy_protocol' has the unknown value \"auto\"");
  const Settings settings =
      expect_good(listener + "proxy_protocol = \"required\"\nproxy_protocol_from = [\"10.0.0.0/8\", \"::1\"]\n");
  EXPECT_TRUE(settings.listeners[1].proxy_protocol);
  EXPECT_EQ(settings.listeners[1].proxy_protocol_from.size(), 2u);
  EXPECT_FALSE(settings.listeners[0].proxy_protocol);
}

TEST_F(Check, PlainTcpListenersHaveABackendAndNothingOfHttp) {
  const std::string listener = "[[listener]]\nname = \"raw\"\nbind = \":1\"\nprotocol = \"tcp\"\n";
  const std::string tcp = servers("tcp://10.0.0.1:7000");
  expect_error(listener + tcp, "protocol = \"tcp\" needs 'backend'");
  expect_error(listener + "backend = \"nobody\"\n", "listener 'raw' refers to backend 'nobody' which is not defined");
  expect_error(listener + "backend = \"b\"\n" + servers("ws://10.0.0.1:7000"),
               "backend 'b' of a listener with protocol = \"tcp\" must have tcp://, tls:// or unix:// servers");
  expect_good(listener + "backend = \"b\"\n[backend.b]\n"
              "servers = [\"tcp://10.0.0.1:7000\", \"tls://10.0.0.2:7000\", \"unix:///run/app.sock\"]\n");
  expect_warning(listener + "backend = \"b\"\n" + tcp + "sticky = { cookie = \"c\" }\n",
                 "'sticky' of backend 'b' has no effect on plain TCP clients");
  expect_error(tcp + "health = { type = \"websocket\" }\n", "backend 'b' has servers that speak no WebSocket");
  expect_error("[[listener]]\nbind = \":1\"\non_server_down = \"close\"\n", "'on_server_down' is only for protocol = \"tcp\"");
  expect_error(listener + "backend = \"b\"\n" + tcp + "balance = { policy = \"consistent_hash\", key = \"header:X\" }\n",
               "backend 'b' hashes what plain TCP does not have");
  expect_error("[[listener]]\nbind = \":1\"\nbackend = \"app\"\n", "'backend' is only for protocol = \"tcp\"");
  expect_error("[[listener]]\nbind = \":1\"\nidle_timeout = \"1m\"\n", "'idle_timeout' is only for protocol = \"tcp\"");
  expect_error(listener + "backend = \"b\"\n" + tcp + route("listener = [\"raw\"]"),
               "route '/r' is on listener 'raw', which has protocol = \"tcp\"");
  expect_warning(listener + "backend = \"b\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n" + tcp,
                 "'trusted_proxies' has no effect with protocol = \"tcp\"");
  const Settings settings = expect_good(listener + "backend = \"b\"\nidle_timeout = \"5m\"\n" + tcp);
  EXPECT_EQ(settings.listeners[1].backend, "b");
  EXPECT_EQ(settings.listeners[1].idle_timeout, 5min);
  EXPECT_FALSE(settings.listeners[1].close_on_server_down);
  EXPECT_EQ(settings.listeners[0].backend, "");
  EXPECT_TRUE(expect_good(listener + "backend = \"b\"\non_server_down = \"close\"\n" + tcp).listeners[1].close_on_server_down);
}

TEST_F(Check, ProxyHeadersToServersSayWhatIsAsked) {
  const std::string tcp = servers("tcp://10.0.0.1:7000");
  expect_error(tcp + "proxy_protocol = \"v1\"\nproxy_tlvs = [\"tls\"]\n", "'proxy_tlvs' needs proxy_protocol = \"v2\"");
  expect_error(tcp + "proxy_tlvs = [\"tls\"]\n", "'proxy_tlvs' needs proxy_protocol = \"v2\"");
  expect_error(servers("http://10.0.0.1:80") + "proxy_protocol = \"v2\"\n", "'proxy_protocol' is not for http:// servers");
  expect_error(tcp + "proxy_protocol = \"v3\"\n", "'proxy_protocol' has the unknown value \"v3\"");
  expect_error(tcp + "proxy_protocol = \"v2\"\nproxy_tlvs = [\"cn\"]\n", "'proxy_tlvs' has the unknown value \"cn\"");
  const Settings settings = expect_good(tcp + "proxy_protocol = \"v2\"\nproxy_tlvs = [\"tls\", \"identity\"]\n");
  const upstream::ProxySettings& proxy = settings.backends.back().proxy;
  EXPECT_EQ(proxy.version, upstream::ProxySettings::Version::v2);
  EXPECT_TRUE(proxy.tls && proxy.identity);
  EXPECT_FALSE(proxy.alpn || proxy.authority || proxy.unique_id);
}

TEST_F(Check, TargetsNeedATokenAndAnAllowList) {
  const auto with = [](std::string_view target, std::string_view url = "tcp://*", bool auth = true) {
    return good_jwt() + servers(url) + "[[route]]\npath = \"/t\"\nbackend = \"b\"\n" + (auth ? "auth = \"a\"\n" : "") +
           std::string(target);
  };
  const std::string allow = "allow = [{ cidr = \"10.0.0.0/8\", ports = [\"5900\"] }]\n";
  const std::string claim = "[route.target]\nfrom = \"claim:target\"\n";
  const std::string query = "[route.target]\nfrom = \"query:vm\"\n";
  expect_error(with(claim + allow, "tcp://*", false), "'target' needs 'auth'");
  expect_error(with(query + "map = { a = \"10.0.0.1:5900\" }\n" + allow, "tcp://*", false), "'target' needs 'auth'");
  expect_error(with(claim), "'target' needs 'allow'");
  expect_error(with(query + allow), "a target from the query or the path needs 'map' or 'map_file'");
  expect_error(with("[route.target]\nfrom = \"path:0\"\n" + allow), "'from' has the unknown value \"path:0\"");
  expect_error(with("[route.target]\nfrom = \"header:X\"\n" + allow), "'from' has the unknown value \"header:X\"");
  expect_error(with(claim + allow, "tcp://10.0.0.1:1"), "'target' needs a backend whose server is tcp://*");
  expect_error(with(""), "backend 'b' has the server tcp://*, but the route has no target");
  expect_error(with(claim + "allow = [{ ports = [\"1\"] }]\n"), "an entry of 'allow' needs 'host' or 'cidr'");
  expect_error(with(claim + "allow = [{ host = \"a\", ports = [\"9-1\"] }]\n"), "\"9-1\" is no port and no range of ports");
  expect_error(with(claim + "allow = [{ host = \"a\", ports = [] }]\n"), "'ports' is empty");
  expect_error(with(claim + "allow = [{ host = \"10.0.0.1\", ports = [\"1\"] }]\n"), "'host' = \"10.0.0.1\" is no host name");
  expect_error(with(claim + "allow = [{ host = \"*\", ports = [\"1\"] }]\n"), "'host' = \"*\" is no host name");
  expect_error(with(claim + "allow = [{ cidr = \"10.0.0.1/8\", ports = [\"1\"] }]\n"), "'10.0.0.1/8' is no block of addresses");
  expect_error(with(query + "map = { a = \"10.0.0.1\" }\n" + allow), "target 'a' = \"10.0.0.1\" is no HOST:PORT");
  expect_error(with(query + "map = {}\n" + allow), "'map' is empty");
  folder_.write("bad.txt", "a: 10.0.0.1:1\nnonsense\n");
  expect_error(with(query + "map_file = \"bad.txt\"\n" + allow), "line 2 of the map is not NAME: HOST:PORT");
  folder_.write("twice.txt", "a: 10.0.0.1:1\na: 10.0.0.2:1\n");
  expect_error(with(query + "map_file = \"twice.txt\"\n" + allow), "target 'a' is listed twice");
  expect_error(servers("tcp://*") + "health = { type = \"tcp\" }\n", "'health' has no meaning for servers that clients name");
  expect_error("[backend.b]\nservers = [\"tcp://*\", \"tcp://10.0.0.1:1\"]\n", "\"tcp://*\" stands for every server");
  expect_error(servers("ws://*"), "server \"ws://*\" has no valid host");

  folder_.write("good.txt", "# VMs\n\n beta : [2001:db8::1]:22\r\ngamma:Vm.Internal:5900\n");
  const Settings settings = expect_good(
      with(query + "map = { alpha = \"10.1.2.3:5900\" }\nmap_file = \"good.txt\"\n" +
           "allow = [{ host = \"*.Vms.test\", cidr = \"10.0.0.0/8\", ports = [\"22\", \"5900-5909\"] }]\n"));
  const upstream::TargetSettings& target = *settings.routes.back().target;
  EXPECT_TRUE(target.mapped);
  ASSERT_EQ(target.map.size(), 3u);
  EXPECT_EQ(target.map.at("beta").text(), "[2001:db8::1]:22");
  EXPECT_EQ(target.map.at("gamma").text(), "vm.internal:5900");
  EXPECT_EQ(target.allow[0].host, "*.vms.test");
  EXPECT_EQ(target.allow[0].ports.size(), 2u);
  EXPECT_EQ(settings.backends.back().ejection.failures, 0u);
  EXPECT_FALSE(expect_good(with(claim + allow)).routes.back().target->mapped);
}

TEST_F(Check, ListenersHaveNamesAndAddressesOfTheirOwn) {
  expect_error("[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:1\"\n",
               "listener 'plain' is defined twice");
  expect_error("[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:8080\"\n",
               "listener 'b' has the bind of listener 'plain'");
  expect_error("[[listener]]\nbind = \"127.0.0.1:9901\"\n",
               "listener '127.0.0.1:9901' has the bind of the admin listener");
  expect_error("[[listener]]\nbind = \"localhost:80\"\n", "'bind' = \"localhost:80\" is no address");
  expect_error("[[listener]]\nbind = \"unix:/x\"\n", "a listener on a unix socket is not yet supported");
  expect_error("[[listener]]\nbind = \":1\"\ntrusted_proxies = [\"10.0.0.1/8\"]\n",
               "'10.0.0.1/8' is no block of addresses");
  const Settings settings =
      expect_good("[[listener]]\nbind = \"[::1]:0\"\n[[listener]]\nname = \"z\"\nbind = \"[::1]:0\"\n");
  EXPECT_EQ(settings.listeners[1].name, "[::1]:0");
}

TEST_F(Check, AdminOnAPublicAddressNeedsAToken) {
  expect_error("[admin]\nbind = \"0.0.0.0:9901\"\n",
               "the admin listener on 0.0.0.0:9901 would be open to everyone");
  expect_good("[admin]\nbind = \"0.0.0.0:9901\"\nenabled = false\n");
  EXPECT_EQ(expect_good("[admin]\nbind = \"0.0.0.0:9901\"\ntoken_file = \"admin.token\"\n").admin.token.reveal(),
            std::string(32, 't'));
  folder_.write("short.token", "abc\n");
  expect_error("[admin]\ntoken_file = \"short.token\"\n", "short.token is shorter than 16 octets");
  folder_.write("two.token", std::string(20, 'a') + "\n" + std::string(20, 'b') + "\n");
  expect_error("[admin]\ntoken_file = \"two.token\"\n", "two.token must hold one line of visible ASCII");
}

TEST_F(Check, TlsNeedsACertificateAndItsKey) {
  const std::string start = "[[listener]]\nbind = \":1\"\n";
  expect_error(start + "tls = {}\n", "TLS needs a certificate");
  expect_error(start + "tls = { cert = \"server.crt\" }\n", "'cert' needs 'key'");
  expect_error(start + "tls = { key = \"server.key\" }\n", "'key' needs 'cert'");
  expect_error(start + "tls = { cert = \"server.key\", key = \"server.crt\" }\n",
               "server.key holds no certificate in PEM | it holds a private key");
  expect_error(start + "tls = { cert = \"gone.crt\", key = \"server.key\" }\n", "'cert': cannot read");
  expect_error(start + "tls = { self_signed = true, cert = \"server.crt\", key = \"server.key\" }\n",
               "'self_signed' stands beside a real");
  expect_error(start +
                   "tls = { self_signed = true }\n[[listener]]\nbind = \":2\"\ntls = { cert = "
                   "\"server.crt\", key = \"server.key\" }\n",
               "listener ':1' is self-signed beside listeners with real certificates");
  folder_.write("locked.key",
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----\n");
  expect_error(start + "tls = { cert = \"server.crt\", key = \"locked.key\" }\n",
               "locked.key is protected by a passphrase");
  const Settings settings =
      expect_good(start + "tls = { cert = \"server.crt\", key = \"server.key\", min_version = \"1.3\" }\n");
  EXPECT_EQ(settings.listeners[1].tls->min_version, "1.3");
  EXPECT_THAT(settings.listeners[1].tls->alpn, ElementsAre("http/1.1"));
  EXPECT_TRUE(expect_good(start + "tls = { self_signed = true }\n").listeners[1].tls->self_signed);
}

TEST_F(Check, ClientCertificatesNeverFailOpen) {
  const std::string start =
      "[[listener]]\nbind = \":1\"\n[listener.tls]\ncert = \"server.crt\"\nkey = \"server.key\"\n";
  expect_error(start + "client_auth = \"required\"\n", "'client_auth' needs 'client_ca'");
  expect_error(start + "client_ca = \"server.crt\"\n", "'client_ca' has no effect without 'client_auth'");
  expect_error(start + "client_auth = \"required\"\nclient_ca = \"gone.crt\"\n", "'client_ca': cannot read");
  const Settings settings = expect_good(start + "client_auth = \"optional\"\nclient_ca = \"server.crt\"\n");
  EXPECT_EQ(settings.listeners[1].tls->client_auth, net::TlsSettings::ClientAuth::optional);
  EXPECT_THAT(settings.listeners[1].tls->client_ca, HasSubstr("BEGIN CERTIFICATE"));
}

TEST_F(Check, HandshakeTimeoutIsSharedByTlsAndHead) {
  const std::string start = "[[listener]]\nbind = \":1\"\n";
  expect_error(start + "limits = { handshake_timeout = \"9s\", head_timeout = \"1s\" }\n",
               "'handshake_timeout' stands for");
  const ListenerSettings plain =
      expect_good(start + "limits = { handshake_timeout = \"9s\" }\n").listeners[1];
  EXPECT_EQ(plain.head_timeout, Duration(9s));
  const ListenerSettings tls =
      expect_good(start + "tls = { self_signed = true }\nlimits = { handshake_timeout = \"9s\" }\n")
          .listeners[1];
  EXPECT_EQ(tls.tls_timeout, Duration(3s));
  EXPECT_EQ(tls.head_timeout, Duration(6s));
  expect_error(start + "limits = { header_bytes = \"4KiB\", field_bytes = \"8KiB\" }\n",
               "'field_bytes' is larger than 'header_bytes'");
  EXPECT_EQ(expect_good(start + "limits = { header_bytes = \"4KiB\" }\n").listeners[1].head.line, 4096U);
}

TEST_F(Check, PrivateFilesAreGuardedByTheirMode) {
  folder_.write("open.secret", std::string(32, 's'), 0666);
  expect_error(jwt("algorithms = [\"HS256\"]\nsecret_file = \"open.secret\""),
               folder_.path("open.secret") + " can be written by everyone");
  folder_.write("group.secret", std::string(32, 's'), 0640);
  expect_warning(jwt("algorithms = [\"HS256\"]\nsecret_file = \"group.secret\""),
                 folder_.path("group.secret") + " can be read by its group");
  folder_.write("short.secret", std::string(31, 's') + "\n");
  expect_error(jwt("algorithms = [\"HS256\"]\nsecret_file = \"short.secret\""),
               "short.secret is shorter than 32 octets");
  folder_.write("raw.secret", std::string(31, '\0') + "\n\n");
  EXPECT_EQ(expect_good(jwt("algorithms = [\"HS256\"]\nsecret_file = \"raw.secret\"")).auths[0].jwt.secret.reveal(),
            std::string(31, '\0') + "\n");
}

TEST_F(Check, AlgorithmsNeedKeysThatServeThem) {
  expect_error(jwt("algorithms = [\"HS256\", \"ES256\"]\nsecret_file = \"hs256.secret\""),
               "HS* and other algorithms must not stand");
  expect_error(jwt("algorithms = [\"HS256\"]\npublic_key_file = \"public.pem\""),
               "a public key cannot serve HS*");
  expect_error(jwt("algorithms = [\"ES256\"]\nsecret_file = \"hs256.secret\""), "a secret serves only HS*");
  expect_error(jwt("algorithms = [\"ES256\"]"),
               "[auth.a] has no key for its algorithms | set public_key_file or jwks_file");
  expect_error(jwt("algorithms = []\nsecret_file = \"hs256.secret\""), "'algorithms' must name at least one");
  expect_error(jwt("secret_file = \"hs256.secret\""), "'algorithms' must name at least one");
  expect_error(jwt("algorithms = [\"ES256\", \"ES256\"]\npublic_key_file = \"public.pem\""),
               "algorithm ES256 is named twice");
  expect_error(jwt("algorithms = [\"ES256\"]\npublic_key_file = \"server.key\""),
               "server.key holds a private key");
  expect_good(jwt("algorithms = [\"ES256\", \"EdDSA\"]\npublic_key_file = \"public.pem\""));
}

TEST_F(Check, SetsOfKeysMustServeEachAlgorithm) {
  folder_.write(
      "jwks.json",
      R"({"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b"},{"kty":"RSA","alg":"RS256","n":"a","e":"b"}]})");
  expect_good(jwt("algorithms = [\"ES256\", \"RS256\"]\njwks_file = \"jwks.json\""));
  expect_error(jwt("algorithms = [\"ES384\"]\njwks_file = \"jwks.json\""),
               "no key of jwks.json can serve ES384");
  expect_error(jwt("algorithms = [\"PS256\"]\njwks_file = \"jwks.json\""),
               "no key of jwks.json can serve PS256");
  expect_error(jwt("algorithms = [\"HS256\"]\njwks_file = \"jwks.json\""),
               "no key of jwks.json can serve HS256");
  folder_.write("bad.json", "{\"keys\": 1}");
  expect_error(jwt("algorithms = [\"ES256\"]\njwks_file = \"bad.json\""), "bad.json is no set of keys");
  folder_.write("none.json", "nothing");
  expect_error(jwt("algorithms = [\"ES256\"]\njwks_file = \"none.json\""), "none.json is no set of keys");
}

TEST_F(Check, KeysAreFetchedByUrlOrByDiscovery) {
  const std::string es = "algorithms = [\"ES256\"]\n";
  const auto source_of = [&](const std::string& rest) { return expect_good(jwt(es + rest)).auths[0].jwt.source; };
  const policy::KeySourceSettings url = source_of("jwks_url = \"https://id.example.com/keys?v=1\"\n");
  EXPECT_TRUE(url.remote());
  EXPECT_EQ(url.url, "https://id.example.com/keys?v=1");
  EXPECT_FALSE(url.discovery);
  EXPECT_EQ(url.stale_max, Duration(24h));
  EXPECT_TRUE(url.allow.empty());
  EXPECT_TRUE(url.ca.empty());
  const policy::KeySourceSettings found = source_of(
      "discovery = true\nissuer = \"https://id.example.com/\"\njwks_ca = \"server.crt\"\n"
      "jwks_allow = [\"10.1.0.0/16\", \"::1\"]\njwks_stale_max = \"1h\"\n");
  EXPECT_TRUE(found.discovery);
  EXPECT_EQ(found.issuer, "https://id.example.com/");
  EXPECT_EQ(found.url, "");
  EXPECT_EQ(found.allow.size(), 2u);
  EXPECT_EQ(found.stale_max, Duration(1h));
  EXPECT_NE(found.ca.find("BEGIN CERTIFICATE"), std::string::npos);
  EXPECT_TRUE(source_of("jwks_url = \"http://127.0.0.1:9000/keys\"\njwks_allow = \"127.0.0.1\"\n").remote());
  EXPECT_FALSE(source_of("public_key_file = \"public.pem\"\n").remote());
  EXPECT_FALSE(source_of("public_key_file = \"public.pem\"\ndiscovery = false\n").remote());
}

TEST_F(Check, FetchedKeysAreAskedForInASafeWay) {
  const std::string es = "algorithms = [\"ES256\"]\n";
  const std::string url = es + "jwks_url = \"https://id.example.com/keys\"\n";
  expect_error(jwt(es + "jwks_url = \"http://id.example.com/keys\"\n"),
               "'jwks_url' must begin with https:// | http:// is only for addresses that jwks_allow names");
  expect_error(jwt(es + "jwks_url = \"id.example.com/keys\"\n"), "'jwks_url' does not begin with https://");
  expect_error(jwt(es + "jwks_url = \"https://user:pass@id.example.com/keys\"\n"), "'jwks_url' holds a user name");
  expect_error(jwt(es + "jwks_url = \"https://id.example.com/keys#1\"\n"), "'jwks_url' has a fragment");
  expect_error(jwt("algorithms = [\"HS256\"]\njwks_url = \"https://id.example.com/keys\"\n"), "secrets for HS* are not fetched");
  expect_error(jwt(url + "public_key_file = \"public.pem\"\n"), "'public_key_file' cannot stand beside 'jwks_url'");
  expect_error(jwt(url + "discovery = true\nissuer = \"https://id.example.com\"\n"), "'discovery' and 'jwks_url' both say where the keys are");
  expect_error(jwt(es + "discovery = true\n"), "'discovery' needs 'issuer'");
  expect_error(jwt(es + "discovery = true\nissuer = \"accounts\"\n"), "'issuer' does not begin with https://");
  expect_error(jwt(es + "discovery = true\nissuer = \"https://id.example.com/?a\"\n"), "with 'discovery' the 'issuer' must be a URL without query");
  expect_error(jwt(es + "discovery = true\nissuer = \"http://id.example.com\"\n"), "'issuer' must begin with https://");
  expect_error(jwt(url + "jwks_allow = [\"10.0.0.1/8\"]\n"), "'10.0.0.1/8' is no block of addresses");
  expect_error(jwt(url + "jwks_stale_max = \"1m\"\n"), "'jwks_stale_max' must be");
  expect_warning(jwt(url + "jwks_allow = [\"0.0.0.0/0\"]\n"), "jwks_allow: 0.0.0.0/0 lies in no network that is refused otherwise");
  for (const std::string line : {"jwks_ca = \"server.crt\"", "jwks_allow = \"10.0.0.0/8\"", "jwks_stale_max = \"1h\""}) {
    expect_error(good_jwt(line), "'" + line.substr(0, line.find(' ')) + "' has no effect without jwks_url or discovery");
  }
}

TEST_F(Check, CarriersAreKnownAndListedOnce) {
  expect_error(good_jwt("from = [\"haeder:Authorization\"]"),
               "'from' has the unknown carrier \"haeder:Authorization\" | did you mean 'header'?");
  expect_error(good_jwt("from = [\"cookie\"]"), "'from': \"cookie\" needs a name after 'cookie:'");
  expect_error(good_jwt("from = [\"header:Host\"]"), "header Host cannot carry a token");
  expect_error(good_jwt("from = [\"header:X_Y\"]"), "header X_Y cannot carry a token");
  expect_error(good_jwt("from = [\"header:a-b\", \"header:A-B\"]"), "'from' lists \"header:A-B\" twice");
  expect_error(good_jwt("from = []"), "'from' is empty");
  EXPECT_EQ(expect_good(good_jwt("from = \"cookie:s\"")).auths[0].from[0].kind,
            policy::Carrier::Kind::cookie);
}

TEST_F(Check, WhatIsSaidLaterThanWithTheRequest) {
  using Kind = policy::Carrier::Kind;
  const policy::AuthSettings auth =
      expect_good(good_jwt("from = [\"kubernetes\", \"first_message\"]\nfirst_message = { deadline = \"2s\", max = \"1KiB\" }\n"
                           "warn_before = \"1m\"\nexpiry_close_reason = \"again\"\n"
                           "refresh = { in_band = true, type = \"t\", max = \"1KiB\", on_failure = \"close\" }"))
          .auths[0];
  EXPECT_EQ(auth.from, (std::vector<policy::Carrier>{{Kind::kubernetes, ""}, {Kind::first_message, ""}}));
  EXPECT_EQ(auth.first_message.deadline, std::chrono::seconds(2));
  EXPECT_EQ(auth.first_message.max, 1024u);
  EXPECT_EQ(auth.warn_before, std::chrono::seconds(60));
  EXPECT_EQ(auth.warn_message, R"({"type":"expiring"})");
  EXPECT_EQ(auth.expiry_close_reason, "again");
  EXPECT_TRUE(auth.refresh.in_band);
  EXPECT_EQ(auth.refresh.type, "t");
  EXPECT_EQ(auth.refresh.max, 1024u);
  EXPECT_TRUE(auth.refresh.close_on_failure);
  const policy::AuthSettings plain = expect_good(good_jwt()).auths[0];
  EXPECT_EQ(plain.first_message.max, 8192u);
  EXPECT_EQ(plain.warn_before, Duration::zero());
  EXPECT_FALSE(plain.refresh.in_band);
  EXPECT_EQ(plain.refresh.type, "auth");

  expect_error(good_jwt("from = [\"first_message\", \"first_message\"]"), "'from' lists \"first_message\" twice");
  expect_error(good_jwt("from = [\"first_mesage\"]"), "'from' has the unknown carrier \"first_mesage\" | did you mean 'first_message'?");
  expect_error(good_jwt("first_message = { deadline = \"2s\" }"), "[first_message] has no effect: 'from' does not name it");
  expect_error(good_jwt("warn_message = \"soon\""), "'warn_message' has no effect without 'warn_before'");
  expect_error(good_jwt("warn_before = \"1m\"\nwarn_message = \"" + std::string(4097, 'x') + "\""), "'warn_message' has more than 4096 octets");
  expect_error(good_jwt("expiry_close_reason = \"" + std::string(124, 'x') + "\""), "'expiry_close_reason' has more than 123 octets");
  expect_error(good_jwt("on_expiry = \"keep\"\nwarn_before = \"1m\""), "'warn_before' has no effect with on_expiry = \"keep\"");
  expect_error(good_jwt("on_expiry = \"keep\"\nrefresh = { in_band = true }"), "'in_band' has no effect with on_expiry = \"keep\"");
  expect_error(good_jwt("refresh = { in_band = true, type = \"" + std::string(65, 'x') + "\" }"), "'type' has more than 64 octets");
  const std::string external = "[auth.b]\ntype = \"external\"\nurl = \"http://127.0.0.1:9/verify\"\n";
  expect_error(good_jwt("from = [\"first_message\"]") + external + route("auth = [\"a\", \"b\"]"),
               "nobody would ever wait for the first message of auth 'a': external auth 'b' is asked before");
  expect_error(external + "from = [\"first_message\"]\n", "'from' is for type = \"jwt\"");
}

TEST_F(Check, SeveralAuthsOfARouteDoNotTakeEachOthersTokens) {
  folder_.write("raw.secret", std::string(32, 's'));
  const auto route = [](const std::string& of_a, const std::string& of_b) {
    const std::string jwt = "type = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"raw.secret\"\n";
    return "[auth.a]\n" + jwt + of_a + "[auth.b]\n" + jwt + of_b +
           "[[route]]\npath = \"/r\"\nbackend = \"app\"\nauth = [\"a\", \"b\"]\n";
  };
  const std::string said = "auth 'a' and 'b' take tokens from the same place | give each its own 'issuer'";
  expect_error(route("", ""), said);
  expect_error(route("issuer = \"x\"\n", ""), said);
  expect_error(route("issuer = \"x\"\n", "issuer = \"x\"\n"), said);
  expect_error(route("from = [\"header:x-token\"]\n", "from = [\"cookie:s\", \"header:X-Token\"]\n"), said);
  EXPECT_THAT(expect_good(route("issuer = \"x\"\n", "issuer = \"y\"\n")).routes.back().auth, ElementsAre("a", "b"));
  expect_good(route("", "from = [\"cookie:s\"]\n"));
  expect_error("[[route]]\npath = \"/r\"\nbackend = \"app\"\nauth = []\n", "'auth' is empty");
}

TEST_F(Check, AnExternalCheckHasAUrlAndNamesOfHeaders) {
  const auto external = [](const std::string& lines) { return "[auth.a]\ntype = \"external\"\n" + lines; };
  const std::string url = "url = \"http://127.0.0.1:4181/verify?app=1\"\n";
  expect_error(external(""), "[auth.a] has no 'url' to ask");
  for (const char* bad : {"ws://h/", "dns+http://h/", "http+unix:///run/x", "srv+https://h/"}) {
    expect_error(external("url = \"" + std::string(bad) + "\"\n"), "\"" + std::string(bad) + "\" cannot be asked");
  }
  for (const char* bad : {"http://h/a/../b", "http://h/#x", "http://h/a%2fb", "http://h/%61"}) {
    expect_error(external("url = \"" + std::string(bad) + "\"\n"), "\"" + std::string(bad) + "\" has no path that can be asked for");
  }
  expect_error(external("url = \"http://user@h/\"\n"), "server \"http://user@h\" holds a user name");
  expect_error(external(url + "algorithms = [\"ES256\"]\n"), "'algorithms' is for type = \"jwt\"");
  expect_error(good_jwt("url = \"http://h/\""), "'url' is for type = \"external\"");
  expect_error(external(url + "response_headers = [\"X-Forwarded-For\"]\n"), "header X-Forwarded-For belongs to the gateway");
  expect_error(external(url + "response_headers = [\"X-User\", \"x-user\"]\n"), "'response_headers' names x-user twice");
  expect_error(external(url + "request_headers = [\"a b\"]\n"), "'request_headers': \"a b\" is no name of a header");
  expect_error(external(url + "refusal_headers = [\"Transfer-Encoding\"]\n"), "header Transfer-Encoding belongs to");
  expect_error(external(url + "tls = { server_name = \"x\" }\n"), "'tls' is only for");
  const policy::ExternalSettings read =
      expect_good(external("url = \"https://sso.internal:8443\"\ntimeout = \"300ms\"\nsubject_header = \"X-User\"\n")).auths[0].external;
  EXPECT_TRUE(read.tls);
  EXPECT_EQ(read.host + " " + std::to_string(read.port) + " " + read.authority + " " + read.target,
            "sso.internal 8443 sso.internal:8443 /");
  EXPECT_EQ(read.timeout, std::chrono::milliseconds(300));
  EXPECT_THAT(read.request_headers, ElementsAre("Authorization", "Cookie"));
  EXPECT_EQ(expect_good(external(url)).auths[0].external.target, "/verify?app=1");
}

TEST_F(Check, ForwardedClaimsGetHeadersOfTheirOwn) {
  for (const char* header : {"Host", "Connection", "te", "Sec-WebSocket-Key", "X-Forwarded-For", "X-Real-IP",
                             "Upgrade", "Cookie"}) {
    expect_error(good_jwt("forward = { sub = \"" + std::string(header) + "\" }"),
                 "header " + std::string(header) + " belongs to");
  }
  expect_error(good_jwt("forward = { sub = \"X User\" }"), "\"X User\" is no name of a header");
  expect_error(good_jwt("forward = { sub = \"X_User\" }"), "\"X_User\" is no name of a header");
  expect_error(good_jwt("forward = { sub = \"X-User\\r\\nA: b\" }"),
               "\"X-User??A: b\" is no name of a header");
  expect_error(good_jwt("forward = { sub = \"X-User\", name = \"x-user\" }"),
               "header x-user is set by two claims");
  expect_error(good_jwt("forward = { sub = true }"), "'forward' of 'sub' must be the name of a header");
}

TEST_F(Check, RequiredClaimsHaveValues) {
  const Settings settings =
      expect_good(good_jwt("require = { scope = \"chat\", role = [\"a\", \"b\"], sub = true }"));
  ASSERT_EQ(settings.auths[0].jwt.required.size(), 3U);
  EXPECT_THAT(settings.auths[0].jwt.required[0].any_of, ElementsAre("chat"));
  EXPECT_THAT(settings.auths[0].jwt.required[1].any_of, ElementsAre("a", "b"));
  EXPECT_TRUE(settings.auths[0].jwt.required[2].any_of.empty());
  expect_error(good_jwt("require = { scope = [] }"), "required claim 'scope' has no values");
  expect_error(good_jwt("require = { scope = false }"), "required claim 'scope' cannot be false");
  expect_error(good_jwt("require = { scope = 3 }"),
               "'scope' in 'require' must be a string or a list of strings, found an integer");
}

TEST_F(Check, ExpiryIsClosedOrKept) {
  const Settings settings = expect_good(
      good_jwt("on_expiry = \"close\"\nexpiry_close_code = 4000\nleeway = \"1m\"\nmax_lifetime = \"1d\""));
  EXPECT_EQ(settings.auths[0].expiry_close_code, 4000);
  EXPECT_EQ(settings.auths[0].jwt.leeway_seconds, 60);
  EXPECT_EQ(settings.auths[0].jwt.max_lifetime_seconds, 86400);
  EXPECT_FALSE(expect_good(good_jwt("on_expiry = \"keep\"")).auths[0].close_on_expiry);
  expect_error(good_jwt("expiry_close_code = 1006"), "close code 1006 must not be sent");
  expect_error(good_jwt("expiry_close_code = 1015"), "close code 1015 must not be sent");
  expect_error(good_jwt("on_expiry = \"keep\"\nexpiry_close_code = 4000"),
               "'expiry_close_code' has no effect");
  expect_error(good_jwt("leeway = \"1500ms\""), "'leeway' must be whole seconds");
}

TEST_F(Check, LimitsPairUnitAndAction) {
  struct Pair {
    const char* unit;
    const char* action;
    bool good;
  };
  for (const Pair& pair : {Pair{"messages", "delay", true},
                           {"messages", "drop", true},
                           {"messages", "close", true},
                           {"messages", "reject", false},
                           {"bytes", "delay", true},
                           {"bytes", "drop", false},
                           {"bytes", "close", true},
                           {"bytes", "reject", false},
                           {"handshakes", "reject", true},
                           {"handshakes", "delay", false},
                           {"handshakes", "drop", false},
                           {"handshakes", "close", false},
                           {"connections", "reject", true},
                           {"connections", "delay", false},
                           {"connections", "close", false}}) {
    const std::string unit = pair.unit;
    const std::string amount = unit == "connections" ? "limit = 5"
                               : unit == "bytes"     ? "rate = \"1KiB/s\""
                                                     : "rate = \"1/s\"";
    const std::string text =
        limit("key = \"ip\"\nunit = \"" + unit + "\"\n" + amount + "\non_limit = \"" + pair.action + "\"");
    if (pair.good) {
      expect_good(text);
    } else {
      expect_error(text,
                   "on_limit = \"" + std::string(pair.action) + "\" does not fit unit = \"" + unit + "\"");
    }
  }
}

TEST_F(Check, LimitsHaveTheAmountsOfTheirUnit) {
  expect_error(limit("key = \"ip\"\nunit = \"connections\""), "unit = \"connections\" needs 'limit'");
  expect_error(limit("key = \"ip\"\nunit = \"connections\"\nlimit = 1\nrate = \"1/s\""),
               "'rate' has no meaning for connections");
  expect_error(limit("key = \"ip\"\nunit = \"messages\"\nlimit = 1"), "'limit' has no meaning for messages");
  expect_error(limit("key = \"ip\"\nunit = \"messages\""), "unit = \"messages\" needs 'rate'");
  expect_error(limit("key = \"ip\"\nunit = \"bytes\"\nrate = \"1000/s\""),
               "'rate' = \"1000/s\" of bytes has no unit");
  expect_error(limit("key = \"ip\"\nunit = \"messages\"\nrate = \"1KiB/s\""),
               "'rate' = \"1KiB/s\" of messages must be a bare number");
  expect_error(limit("key = \"ip\"\nunit = \"bytes\"\nrate = \"1KiB/s\"\nburst = 5"),
               "'burst' of bytes has no unit");
  expect_error(limit("key = \"ip\"\nrate = \"1/s\"\nburst = \"5B\""),
               "'burst' of messages must be a bare number");
  expect_error(limit("key = \"connection\"\nunit = \"handshakes\"\nrate = \"1/s\""),
               "key = \"connection\" counts only messages or bytes");
  expect_error(limit("key = \"claim:\"\nrate = \"1/s\""), "'key' has the unknown value \"claim:\"");
  expect_error(limit("key = \"ips\"\nrate = \"1/s\""),
               "'key' has the unknown value \"ips\" | did you mean 'ip'?");
  expect_error(limit("key = \"ip\"\nrate = \"1/s\"\nclose_code = 4000"),
               "'close_code' needs on_limit = \"close\"");
  const Settings settings =
      expect_good(limit("key = \"ip\"\nunit = \"bytes\"\nrate = \"1MiB/m\"\nburst = \"2MiB\"\non_limit = "
                        "\"close\"\nclose_code = 4008"));
  EXPECT_EQ(settings.limits[0].rate, 1U << 20);
  EXPECT_EQ(settings.limits[0].per, Duration(60s));
  EXPECT_EQ(settings.limits[0].burst, 2U << 20);
  EXPECT_EQ(settings.limits[0].close_code, 4008);
}

TEST_F(Check, LimitsStandWhereTheirKeyIsKnown) {
  const std::string claim = limit("key = \"claim:sub\"\nrate = \"1/s\"");
  expect_error(claim + route("rate_limit = [\"l\"]"),
               "limit 'l' counts by claim 'sub', but the route has no auth");
  expect_good(good_jwt() + claim + route("rate_limit = \"l\"\nauth = \"a\""));
  expect_error(route("rate_limit = [\"l\", \"l\"]") + limit("key = \"ip\"\nrate = \"1/s\""),
               "'rate_limit' names 'l' twice");
  const std::string listener = "[[listener]]\nbind = \":1\"\nrate_limit = [\"l\"]\n";
  expect_error(listener + claim, "limit 'l' of a listener must have key = \"ip\" or \"listener\"");
  expect_error(listener + limit("key = \"ip\"\nrate = \"1/s\""),
               "limit 'l' of a listener must count handshakes, requests or connections");
  expect_good(listener + limit("key = \"listener\"\nunit = \"connections\"\nlimit = 5"));
}

TEST_F(Check, ReferencesMustResolve) {
  expect_error(route("auth = \"usr\"") + good_jwt(),
               "route '/r' refers to auth 'usr' which is not defined | defined are a");
  expect_error(route("rate_limit = [\"new\"]"), "route '/r' refers to rate_limit 'new' which is not defined");
  expect_error(route("listener = [\"plian\"]"),
               "route '/r' refers to listener 'plian' which is not defined | did you mean 'plain'?");
  expect_error("[[listener]]\nbind = \":1\"\nrate_limit = [\"x\"]\n",
               "listener ':1' refers to rate_limit 'x' which is not defined");
  expect_error(route("auth = []"), "'auth' is empty");
  expect_warning(servers("ws://h:1"), "backend 'b' is not used");
  expect_warning(good_jwt(), "auth 'a' is not used");
}

TEST_F(Check, RoutesAreDistinctAndTheirPathsCanonical) {
  expect_error(route("") + route(""), "route '/r' is defined twice");
  expect_error(route("name = \"x\"") + route("name = \"y\""),
               "route 'y' can never match: route 'x' has its host and path");
  expect_good("[[listener]]\nname = \"two\"\nbind = \":1\"\n" + route("name = \"x\"\nlistener = \"two\"") +
              route("name = \"y\"\nlistener = [\"plain\"]"));
  const auto with_path = [](std::string_view path) {
    return "[[route]]\nbackend = \"app\"\npath = \"" + std::string(path) + "\"\n";
  };
  expect_error(with_path("chat"), "'path' = \"chat\" is no path");
  expect_error(with_path("/chat*"), "'path' = \"/chat*\" is no path");
  expect_error(with_path("/a/*/b"), "'path' = \"/a/*/b\" is no path");
  expect_error(with_path("/a/../b"), "'path' = \"/a/../b\" is not in canonical form | write \"/b\"");
  expect_error(with_path("/a%2fb"), "'path' = \"/a%2fb\" can match no request");
  const Settings settings =
      expect_good("[[route]]\nhost = \"Chat.Example.COM\"\npath = \"/a\"\nbackend = \"app\"\n");
  EXPECT_EQ(settings.routes[1].host, "chat.example.com");
  EXPECT_EQ(settings.routes[1].name, "chat.example.com/a");
  EXPECT_EQ(expect_good(route("host = \"*.example.com\"")).routes[1].host, "*.example.com");
  expect_error(route("host = \"a.com:80\""), "'host' = \"a.com:80\" has a port");
  for (const char* host : {"a b", "*", "*.", "a.*.com", "http://a", "*.*.com"}) {
    expect_error(route("host = \"" + std::string(host) + "\""),
                 "'host' = \"" + std::string(host) + "\" is no host name");
  }
}

TEST_F(Check, DangerousCombinationsAreRefusedOrWarned) {
  const std::string wildcard = "[route.websocket]\norigins = [\"https://*.example.com\"]\n";
  expect_error(good_jwt("from = [\"cookie:s\"]") + route("auth = \"a\"\n" + wildcard),
               "a wildcard origin beside the cookie carrier of auth 'a'");
  expect_good(good_jwt() + route("auth = \"a\"\n" + wildcard));
  expect_error(route("websocket = { origins = [\"*\"] }"),
               "\"*\" is no origin | to let every origin in, leave 'origins' out");
  expect_error(route("websocket = { origins = [\"chat.example.com\"] }"),
               "\"chat.example.com\" is no origin");
  expect_warning(good_jwt("from = [\"query:t\"]") + route("auth = \"a\""),
                 "tokens in the query of '/r' can be read on plain listener 'plain'");
  const Settings settings = expect_good(route("reject = \"close\""));
  EXPECT_TRUE(settings.routes[1].websocket.reject_with_close);
}

TEST_F(Check, WebSocketRulesFollowWhatStandsBehindThem) {
  const std::string tcp = "[backend.b]\nservers = [\"tcp://h:1\"]\nframing = { message = \"text\" }\n";
  const auto to_b = [](std::string_view rest) {
    return "[[route]]\npath = \"/r\"\nbackend = \"b\"\n" + std::string(rest) + "\n";
  };
  EXPECT_TRUE(expect_good(tcp + to_b("")).routes[1].websocket.text_frames);
  EXPECT_FALSE(expect_good(tcp + to_b("websocket = { frame = \"binary\" }")).routes[1].websocket.text_frames);
  EXPECT_FALSE(expect_good(tcp + to_b("")).routes[1].websocket.pass_compression);
  expect_warning(tcp + to_b("websocket = { ping = \"forward\" }"),
                 "pings are answered by the gateway before tcp backends");
  expect_warning(route("websocket = { frame = \"text\" }"), "'frame' has no effect");
  expect_warning(route("websocket = { compression = \"pass\", validate_utf8 = true }"),
                 "compression is off because of validate_utf8");
  const std::string drop = limit("key = \"connection\"\nrate = \"1/s\"\non_limit = \"drop\"");
  EXPECT_FALSE(expect_good(drop + route("rate_limit = \"l\"")).routes[1].websocket.pass_compression);
  expect_error(route("websocket = { control_rate = \"20/m\" }"),
               "'control_rate' must be a number per second");
  expect_error(route("websocket = { subprotocols = [\"a b\"] }"), "\"a b\" is no subprotocol");
  expect_error(route("websocket = { subprotocols = [\"a\", \"a\"] }"), "subprotocol \"a\" is listed twice");
  const WebSocketSettings ws =
      expect_good(
          route("websocket = { max_message = \"unlimited\", ping_interval = \"off\", idle_timeout = \"2m\", "
                "control_rate = \"5/s\", ping = \"answer\", compression = \"off\" }"))
          .routes[1]
          .websocket;
  EXPECT_EQ(ws.max_message, 0U);
  EXPECT_EQ(ws.ping_interval, Duration(0));
  EXPECT_EQ(ws.idle_timeout, Duration(120s));
  EXPECT_EQ(ws.control_rate, 5U);
  EXPECT_FALSE(ws.forward_pings);
  EXPECT_FALSE(ws.pass_compression);
}

TEST_F(Check, ClientsSurviveWhereMessagesHaveBoundaries) {
  const auto with = [](std::string_view keys, std::string_view server = "ws://h:1", std::string_view more = "") {
    return servers(server) + std::string(more) + "[[route]]\npath = \"/r\"\nbackend = \"b\"\n[route.survive]\n" + std::string(keys);
  };
  const RouteSettings plain = expect_good(with("")).routes.back();
  ASSERT_TRUE(plain.survive);
  EXPECT_EQ(plain.survive->in_flight, InFlight::hold);
  EXPECT_EQ(plain.survive->codes, (std::vector<std::uint16_t>{1001, 1006, 1011, 1012, 1013}));
  EXPECT_EQ(plain.survive->timeout, Duration(30s));
  EXPECT_EQ(plain.survive->retry, Duration(100ms));
  EXPECT_EQ(plain.survive->buffer, 65536U);
  EXPECT_EQ(plain.survive->close_code, 1011U);
  EXPECT_FALSE(plain.websocket.forward_pings);
  EXPECT_FALSE(plain.websocket.pass_compression);
  const RouteSettings other =
      expect_good(with("in_flight = \"drop\"\ncodes = [\"1006\", \"4100\"]\ntimeout = \"2m\"\nretry = \"1s\"\n"
                       "buffer = \"1MiB\"\nclose_code = 1012\n"))
          .routes.back();
  EXPECT_EQ(other.survive->in_flight, InFlight::drop);
  EXPECT_EQ(other.survive->codes, (std::vector<std::uint16_t>{1006, 4100}));
  EXPECT_EQ(other.survive->timeout, Duration(2min));
  EXPECT_EQ(other.survive->retry, Duration(1s));
  EXPECT_EQ(other.survive->buffer, 1048576U);
  EXPECT_EQ(other.survive->close_code, 1012U);
  expect_error(with("codes = [\"999\"]\n"), "\"999\" is no close code");
  expect_error(with("codes = [\"lost\"]\n"), "\"lost\" is no close code");
  expect_error(with("codes = [\"1001\", \"1001\"]\n"), "close code 1001 is listed twice");
  expect_error(with("codes = []\n"), "'codes' is empty");
  expect_error(with("close_code = 1006\n"), "close code 1006 must not be sent");
  expect_error(with("", "tcp://h:1"), "survive before backend 'b', which speaks raw TCP");
  expect_error(with("", "tls://h:1"), "survive before backend 'b', which speaks raw TCP");
  expect_error(with("", "tcp://h:1", "framing = { type = \"raw\" }\n"), "survive before backend 'b', which speaks raw TCP");
  EXPECT_TRUE(expect_good(with("", "tcp://h:1", "framing = { type = \"delimiter\", delimiter = \"\\n\" }\n")).routes.back().survive);
  EXPECT_TRUE(expect_good(with("", "tls://h:1", "framing = { type = \"length\", length = \"u16\" }\nbalance = { unit = \"message\" }\n"))
                  .routes.back().survive);
  EXPECT_TRUE(expect_good(with("", "ws://h:1", "balance = { unit = \"message\" }\n")).routes.back().survive);
  expect_warning(with("[route.websocket]\nping = \"forward\"\n"), "pings are answered by the gateway on routes with survive");
  expect_warning(with("[route.websocket]\ncompression = \"pass\"\n"), "compression is off because of survive");
}

TEST_F(Check, ServersAreASchemeAHostAndAPort) {
  struct Good {
    const char* url;
    const char* host;
    int port;
  };
  for (const Good& good : {Good{"ws://h", "h", 80},
                           {"wss://h.example", "h.example", 443},
                           {"tcp://h:7", "h", 7},
                           {"ws://[::1]:9", "::1", 9},
                           {"ws://127.0.0.1", "127.0.0.1", 80},
                           {"tls://h:7", "h", 7},
                           {"wss://[::1]", "::1", 443}}) {
    const Settings settings = expect_good(servers(good.url));
    EXPECT_EQ(settings.backends[1].servers[0].host, good.host);
    EXPECT_EQ(settings.backends[1].servers[0].port, good.port);
    EXPECT_EQ(settings.backends[1].servers[0].url, good.url);
  }
  const std::pair<const char*, const char*> bad[] = {{"h:1", "is no URL"},
                                                     {"ws://h:1/", "has a path"},
                                                     {"ws://h:1/x", "has a path"},
                                                     {"ws://h:1?x", "has a query"},
                                                     {"ws://h:1#x", "has a fragment"},
                                                     {"ws://u:p@h:1", "holds a user name"},
                                                     {"ws://", "has no valid host"},
                                                     {"ws://:1", "has no valid host"},
                                                     {"ws://h:0", "has no valid port"},
                                                     {"ws://h:65536", "has no valid port"},
                                                     {"ws://h:", "has no valid port"},
                                                     {"ws://h:1x", "has no valid port"},
                                                     {"ws://::1:2", "has an IPv6 address without brackets"},
                                                     {"ws://[::1", "has no ']'"},
                                                     {"ws://[::1]x", "has something behind ']'"},
                                                     {"ws://[h]:1", "is no IPv6 address"},
                                                     {"tcp://h", "has no port"},
                                                     {"tls://h", "has no port"},
                                                     {"udp+unix:///run/x", "has the unknown scheme udp+unix"},
                                                     {"unix://run/x", "has no absolute path"},
                                                     {"unix:///run/../x", "has a path that is not in its plain form"},
                                                     {"unix:///run/./x", "has a path that is not in its plain form"},
                                                     {"unix:///run//x", "has a path that is not in its plain form"},
                                                     {"unix:///run/x/", "has a path that is not in its plain form"},
                                                     {"unix:///", "has a path that is not in its plain form"},
                                                     {"ws+unix:///run/%2e", "has a path with a blank, a control, % ? or #"},
                                                     {"unix:///run/a b", "has a path with a blank, a control, % ? or #"},
                                                     {"ftp://h:1", "has the unknown scheme ftp"},
                                                     {"ws://h h:1", "has no valid host"},
                                                     {"dns+ws://10.0.0.1:80", "has an address where a name is asked for"},
                                                     {"dns+ws://[::1]:80", "has an address where a name is asked for"},
                                                     {"dns+tcp://h", "has no port"},
                                                     {"dns+srv+ws://h", "has the unknown scheme srv+ws"},
                                                     {"srv+ws://_ws._tcp.h.example:80", "has a port"},
                                                     {"srv+ws://h.example", "names no service"},
                                                     {"srv+ws://_ws.h.example", "names no service"},
                                                     {"srv+ws://_ws._tcp", "names no service"},
                                                     {"srv+ws://_ws._tcp._h", "names no service"}};
  for (const auto& [url, why] : bad) expect_error(servers(url), "server \"" + std::string(url) + "\" " + why);
  expect_error("[backend.b]\nservers = []\n", "'servers' is empty");
  expect_error("[backend.b]\nservers = [\"ws://h:1\", \"ws://h:1\"]\n", "server ws://h:1 is listed twice");
  expect_error("[backend.b]\nservers = [\"ws://h:1\", \"tcp://h:2\"]\n",
               "tcp:// and ws:// servers must not stand in one backend");
}

TEST_F(Check, ServersMayBeUnixSockets) {
  const std::pair<const char*, upstream::Scheme> good[] = {{"unix", upstream::Scheme::tcp},
                                                           {"tcp+unix", upstream::Scheme::tcp},
                                                           {"ws+unix", upstream::Scheme::ws}};
  for (const auto& [scheme, spoken] : good) {
    const auto server = expect_good(servers(std::string(scheme) + ":///run/app.sock")).backends[1].servers[0];
    EXPECT_EQ(server.scheme, spoken);
    EXPECT_EQ(server.unix_path, "/run/app.sock");
    EXPECT_EQ(upstream::literal_address(server)->text(), "unix:/run/app.sock");
  }
  expect_error("[backend.b]\nservers = [\"unix:///run/x\", \"tcp+unix:///run/x\"]\n", "server tcp+unix:///run/x is listed twice");
  EXPECT_THAT(brief(load_with(servers("unix:///" + std::string(107, 'x')))), HasSubstr("has a path longer than 107 octets"));
  expect_good(servers("unix:///" + std::string(106, 'x')));
  // A path is no name that a certificate could be for.
  expect_error(servers("tls+unix:///run/x"), "server \"tls+unix:///run/x\" needs tls.server_name");
  expect_error(servers("wss+unix:///run/x") + "tls = { ca = \"server.crt\" }\n", "server \"wss+unix:///run/x\" needs tls.server_name");
  expect_good(servers("tls+unix:///run/x") + "tls = { server_name = \"x.internal\" }\n");
  expect_warning(servers("unix:///run/x") + "socket = { nodelay = false }\n",
                 "'socket' has no effect for unix sockets");
}

TEST_F(Check, FramingOfTcpServers) {
  const auto with = [](std::string_view framing) {
    return servers("tcp://h:1") + "framing = { " + std::string(framing) + " }\n";
  };
  const auto lines = expect_good(with("type = \"delimiter\", delimiter = \"\\r\\n\", keep = true, max_frame = \"1KiB\"")).backends[1].framing;
  EXPECT_EQ(lines.type, ws::TcpFraming::Type::delimiter);
  EXPECT_EQ(as_text(lines.delimiter.octets()), "\r\n");
  EXPECT_TRUE(lines.keep);
  EXPECT_EQ(lines.max_frame, 1024U);
  const auto hex = expect_good(with("type = \"delimiter\", delimiter_hex = \"00fF\", invalid_utf8 = \"replace\"")).backends[1].framing;
  EXPECT_EQ(as_text(hex.delimiter.octets()), std::string_view("\0\xFF", 2));
  EXPECT_EQ(hex.invalid_text, ws::TcpFraming::InvalidText::replace);
  const auto length = expect_good(with("type = \"length\", length = \"u24\", endian = \"little\", counted = true")).backends[1].framing;
  EXPECT_EQ(length.length.kind, ws::LengthPrefix::Kind::u24);
  EXPECT_TRUE(length.length.little_endian && length.length.counted);
  EXPECT_EQ(length.max_frame, 1024U * 1024);
  expect_error(with("type = \"delimiter\""), "type = \"delimiter\" needs 'delimiter'");
  expect_error(with("type = \"delimiter\", delimiter = \"a\", delimiter_hex = \"00\""), "'delimiter' and 'delimiter_hex' stand for the same");
  expect_error(with("type = \"delimiter\", delimiter = \"\""), "'delimiter' is empty");
  expect_error(with("type = \"delimiter\", delimiter = \"" + std::string(65, 'x') + "\""), "a delimiter has 1 to 64 octets");
  for (const char* bad : {"0", "0g", "0x0a"}) {
    expect_error(with("type = \"delimiter\", delimiter_hex = \"" + std::string(bad) + "\""), "\"" + std::string(bad) + "\" is no hexadecimal");
  }
  expect_error(with("type = \"raw\", delimiter = \"x\""), "'delimiter' needs type = \"delimiter\"");
  expect_error(with("type = \"delimiter\", delimiter = \"x\", counted = true"), "'counted' needs type = \"length\"");
  expect_error(with("max_frame = \"1KiB\""), "'max_frame' needs type");
  expect_warning(with("type = \"length\", length = \"u8\", max_frame = \"1KiB\""), "'max_frame' is more than length = \"u8\" can say");
  EXPECT_THAT(brief(load_with(with("type = \"length\", length = \"u16\", max_frame = \"1KiB\""))), Not(HasSubstr("can say")));
  expect_error(with("type = \"length\", length = \"varint\", endian = \"little\""), "'endian' means nothing with length = \"varint\"");
}

TEST_F(Check, SocketOptionsOfABackend) {
  const auto plain = expect_good(servers("tcp://h:1")).backends[1].socket;
  EXPECT_TRUE(plain.nodelay);
  EXPECT_EQ(plain.keepalive_idle, Duration(30s));
  EXPECT_EQ(plain.user_timeout, Duration(25s));
  const auto set = expect_good(servers("ws://h:1") +
                               "socket = { nodelay = false, keepalive = \"5s\", keepalive_interval = \"2s\", "
                               "keepalive_count = 9, user_timeout = \"off\" }\n")
                       .backends[1]
                       .socket;
  EXPECT_FALSE(set.nodelay);
  EXPECT_EQ(set.keepalive_idle, Duration(5s));
  EXPECT_EQ(set.keepalive_interval, Duration(2s));
  EXPECT_EQ(set.keepalive_count, 9U);
  EXPECT_EQ(set.user_timeout, Duration::zero());
  expect_error(servers("ws://h:1") + "socket = { keepalive = \"off\", keepalive_count = 9 }\n",
               "'keepalive_count' needs 'keepalive'");
}

TEST_F(Check, AServerMayBeANameOfSeveral) {
  auto server = expect_good(servers("dns+wss://h.example")).backends[1].servers[0];
  EXPECT_EQ(server.discovery, upstream::Discovery::addresses);
  EXPECT_EQ(server.scheme, upstream::Scheme::wss);
  EXPECT_EQ(server.host, "h.example");
  EXPECT_EQ(server.port, 443);
  EXPECT_EQ(server.url, "dns+wss://h.example");
  server = expect_good(servers("srv+tcp://_vnc._tcp.h.example")).backends[1].servers[0];
  EXPECT_EQ(server.discovery, upstream::Discovery::services);
  EXPECT_EQ(server.scheme, upstream::Scheme::tcp);
  EXPECT_EQ(server.host, "_vnc._tcp.h.example");
  EXPECT_EQ(server.port, 0);
  EXPECT_EQ(expect_good(servers("ws://h.example")).backends[1].servers[0].discovery, upstream::Discovery::none);
}

TEST_F(Check, RebalanceHasAThresholdAndARate) {
  const auto with = [](std::string_view rest) { return servers("ws://h:1") + std::string(rest) + "\n"; };
  EXPECT_FALSE(expect_good(with("")).backends[1].rebalance.on());
  auto rebalance = expect_good(with("rebalance = {}")).backends[1].rebalance;
  EXPECT_DOUBLE_EQ(rebalance.rate, 50);
  EXPECT_DOUBLE_EQ(rebalance.threshold, 0.1);
  rebalance = expect_good(with("rebalance = { threshold = \"25%\", rate = \"30/m\" }")).backends[1].rebalance;
  EXPECT_DOUBLE_EQ(rebalance.rate, 0.5);
  EXPECT_DOUBLE_EQ(rebalance.threshold, 0.25);
  for (const char* bad : {"0%", "1001%", "10", "10 %", "-1%", "x%", "%", "10%%"}) {
    expect_error(with("rebalance = { threshold = \"" + std::string(bad) + "\" }"),
                 "'threshold' = \"" + std::string(bad) + "\" is no percentage");
  }
  expect_error(with("rebalance = { rate = \"1MiB/s\" }"), "'rate' counts sessions");
  expect_error(with("balance = { unit = \"message\" }\nrebalance = {}"), "'rebalance' has no meaning with unit = \"message\"");
}

TEST_F(Check, ResolversAreAddresses) {
  const Settings settings = expect_good("[server]\nresolvers = [\"10.0.0.53\", \"[fd00::53]:5353\", \"::1\"]\n");
  ASSERT_EQ(settings.server.resolvers.size(), 3u);
  EXPECT_EQ(settings.server.resolvers[0].text(), "10.0.0.53:53");
  EXPECT_EQ(settings.server.resolvers[1].text(), "[fd00::53]:5353");
  EXPECT_EQ(settings.server.resolvers[2].text(), "[::1]:53");
  for (const char* bad : {"dns.example", ":53", "10.0.0.53:0", "10.0.0.53:x", "unix:/x", ""}) {
    expect_error("[server]\nresolvers = [\"" + std::string(bad) + "\"]\n",
                 "'" + std::string(bad) + "' is no address of a DNS server");
  }
}

TEST_F(Check, BalanceFitsItsServersAndItsKey) {
  const auto with = [](std::string_view balance) {
    return servers("ws://h:1") + "balance = " + std::string(balance) + "\n";
  };
  expect_error(servers("tcp://h:1") + "balance = { unit = \"message\" }\n",
               "unit = \"message\" before TCP servers needs a framing");
  expect_good(servers("tcp://h:1") + "balance = { unit = \"message\" }\nframing = { type = \"length\" }\n");
  expect_error(with("{ max_legs = 2 }"), "'max_legs' needs unit = \"message\"");
  expect_error(with("{ key = \"ip\" }"), "'key' needs policy = \"consistent_hash\"");
  for (const char* key : {"port", "header", "header:", "ip:x", "path:0", "path:x", "claim:", "cookie:a b"}) {
    expect_error(with("{ policy = \"consistent_hash\", key = \"" + std::string(key) + "\" }"),
                 "'key' has the unknown value \"" + std::string(key) + "\"");
  }
  const auto path = expect_good(with("{ policy = \"consistent_hash\", key = \"path:2\" }")).backends[1];
  EXPECT_EQ(path.key.kind, upstream::HashKey::Kind::path);
  EXPECT_EQ(path.key.segment, 2U);
  const auto header =
      expect_good(with("{ policy = \"consistent_hash\", key = \"header:X-Room\" }")).backends[1];
  EXPECT_EQ(header.key.kind, upstream::HashKey::Kind::header);
  EXPECT_EQ(header.key.name, "X-Room");
  EXPECT_EQ(expect_good(with("\"random_two\"")).backends[1].policy, upstream::Policy::random_two);
  EXPECT_EQ(expect_good(with("{ unit = \"message\", max_legs = 2 }")).backends[1].max_legs, 2U);
  expect_warning(with("{ policy = \"consistent_hash\", key = \"claim:sub\" }") +
                     "[[route]]\npath = \"/r\"\nbackend = \"b\"\n",
                 "backend 'b' hashes claim 'sub', but the route has no auth");
}

TEST_F(Check, BackendTablesFitTheirServers) {
  expect_error(servers("ws://h:1") + "tls = { server_name = \"x\" }\n", "'tls' is only for wss://, https:// and tls:// servers");
  expect_error(servers("wss://h:1") + "tls = { cert = \"server.crt\" }\n", "'cert' needs 'key'");
  expect_error(servers("wss://h:1") + "tls = { ca = \"gone.crt\" }\n", "'ca': cannot read");
  expect_error(servers("ws://h:1") + "framing = { type = \"raw\" }\n",
               "'framing' is only for tcp://, tls:// and unix:// servers");
  expect_error(servers("ws://h:1") + "ejection = { base = \"10s\", max = \"5s\" }\n",
               "'max' is shorter than 'base'");
  const auto backend =
      expect_good(servers("wss://h:1") +
                  "tls = { ca = \"server.crt\", cert = \"server.crt\", key = \"server.key\", server_name = "
                  "\"x.y\" }\n"
                  "health = { type = \"tcp\", interval = \"1s\", timeout = \"200ms\", fall = 1, rise = 4 }\n"
                  "ejection = { failures = \"off\" }\nretries = 0\nconnect_timeout = \"250ms\"\n")
          .backends[1];
  EXPECT_EQ(backend.tls.server_name, "x.y");
  EXPECT_THAT(std::string(backend.tls.key.reveal()), HasSubstr("PRIVATE KEY"));
  EXPECT_TRUE(backend.health.active);
  EXPECT_EQ(backend.health.timeout, Duration(200ms));
  EXPECT_EQ(backend.health.rise, 4U);
  EXPECT_EQ(backend.ejection.failures, 0U);
  EXPECT_EQ(backend.retries, 0U);
  EXPECT_EQ(backend.connect_timeout, Duration(250ms));
}

TEST_F(Check, HttpServersServeRequestsWithoutUpgrades) {
  const Settings settings = expect_good(servers("http://h") + "pool = { max_idle = 0, idle_timeout = \"5s\" }\n");
  const auto& backend = settings.backends[1];
  EXPECT_EQ(backend.servers[0].scheme, upstream::Scheme::http);
  EXPECT_EQ(backend.servers[0].port, 80);
  EXPECT_EQ(backend.pool.max_idle, 0U);
  EXPECT_EQ(backend.pool.idle_timeout, Duration(5s));
  EXPECT_EQ(expect_good(servers("https://h")).backends[1].servers[0].port, 443);
  expect_error("[backend.b]\nservers = [\"http://h:1\", \"ws://h:2\"]\n",
               "http:// and ws:// servers must not stand in one backend");
  expect_error(servers("ws://h:1") + "pool = { max_idle = 1 }\n", "'pool' is only for http:// and https:// servers");
  expect_error("[[route]]\npath = \"/p\"\nbackend = \"app\"\nhttp = { max_body = \"1KiB\" }\n",
               "'http' is only for routes to http:// and https:// servers");
}

TEST_F(Check, ProtectionOfABackend) {
  const auto backend = expect_good("[backend.b]\nservers = [\"ws://h:1\", { url = \"ws://h:2\", backup = true, "
                                   "max_connections = 7, state = \"drain\" }]\nmax_connections = 9\nslow_start = \"30s\"\n"
                                   "pending = { max = 3 }\nejection = { panic = \"off\" }\n"
                                   "circuit_breaker = { failures = \"off\", open = \"1s\" }\n")
                           .backends[1];
  EXPECT_FALSE(backend.servers[0].backup);
  EXPECT_EQ(backend.servers[0].duty, upstream::Duty::ready);
  EXPECT_EQ(backend.servers[0].max_connections, 0U);
  EXPECT_TRUE(backend.servers[1].backup);
  EXPECT_EQ(backend.servers[1].duty, upstream::Duty::drain);
  EXPECT_EQ(backend.servers[1].max_connections, 7U);
  EXPECT_EQ(backend.max_connections, 9U);
  EXPECT_EQ(backend.slow_start, Duration(30s));
  EXPECT_EQ(backend.pending.max, 3U);
  EXPECT_EQ(backend.pending.timeout, Duration(10s));
  EXPECT_EQ(backend.ejection.panic, 0U);
  EXPECT_TRUE(backend.breaker.enabled);
  EXPECT_EQ(backend.breaker.failures, 0U);
  EXPECT_EQ(backend.breaker.open, Duration(1s));
  const auto plain = expect_good(servers("ws://h:1")).backends[1];
  EXPECT_EQ(plain.pending.max, 0U) << "nobody waits without the table";
  EXPECT_FALSE(plain.breaker.enabled);
  EXPECT_EQ(plain.slow_start, Duration::zero());
  EXPECT_EQ(plain.ejection.panic, 50U);
  expect_error(servers("ws://h:1") + "circuit_breaker = { failures = \"off\", percent = \"off\" }\n",
               "'circuit_breaker' with failures and percent off never opens");
  expect_error("[backend.b]\nservers = [{ url = \"ws://h:1\", backup = true }]\n", "every server is a backup");
  expect_error("[backend.b]\nservers = [{ url = \"ws://h:1\", state = \"up\" }]\n", "'state'");
  const auto route = expect_good("[[route]]\npath = \"/r\"\nbackend = \"app\"\non_server_down = \"close\"\n");
  EXPECT_TRUE(route.routes.back().close_on_server_down);
  EXPECT_FALSE(route.routes.front().close_on_server_down);
}

TEST_F(Check, OnlyVersionOneIsKnown) {
  EXPECT_TRUE(load_text("version = 1\n" + around(""), "t.toml").ok());
  EXPECT_EQ(brief(load_text("version = 2\n" + around(""), "t.toml")),
            "1:11: error: version 2 is not supported | this program reads version = 1\n");
  EXPECT_THAT(brief(load_text("version = \"1\"\n" + around(""), "t.toml")),
              HasSubstr("'version' must be an integer"));
}

TEST_F(Check, BoundedLoadIsAPercentageOfConsistentHash) {
  const auto balance = [](std::string_view rest) {
    return "[backend.b]\nservers = [\"ws://h:1\"]\nbalance = { " + std::string(rest) + " }\n";
  };
  const std::string hash = "policy = \"consistent_hash\", ";
  EXPECT_EQ(expect_good(balance(hash + "key = \"path:1\", max_load = \"125%\"")).backends[1].max_load, 125u);
  EXPECT_EQ(expect_good(balance(hash + "max_load = \"unlimited\"")).backends[1].max_load, 0u);
  EXPECT_EQ(expect_good(balance("policy = \"consistent_hash\"")).backends[1].max_load, 0u);
  expect_error(balance("policy = \"round_robin\", max_load = \"125%\""), "'max_load' needs policy = \"consistent_hash\"");
  expect_error(balance(hash + "max_load = 1.25"), "'max_load' must be a percentage such as \"125%\" or \"unlimited\"");
  expect_error(balance(hash + "max_load = \"125\""), "'max_load': \"125\" does not end with '%'");
  expect_error(balance(hash + "max_load = \"99%\""), "'max_load'");
}

TEST_F(Check, StickyHasDefaultsAndReadsItsSecret) {
  const Settings off = expect_good("");
  EXPECT_TRUE(off.backends[0].sticky.cookie.empty());
  const auto sticky = expect_good("[backend.app.sticky]\n").backends[0].sticky;
  EXPECT_EQ(sticky.cookie, "sluice");
  EXPECT_EQ(sticky.ttl, 8h);
  EXPECT_EQ(sticky.path, "/");
  EXPECT_TRUE(sticky.secret.empty());
  using Sticky = upstream::StickySettings;
  EXPECT_EQ(sticky.same_site, Sticky::SameSite::lax);
  EXPECT_EQ(sticky.secure, Sticky::Secure::automatic);
  const auto all = expect_good("[backend.app.sticky]\ncookie = \"__Host-at\"\nttl = \"session\"\n"
                               "secret_file = \"hs256.secret\"\nsame_site = \"strict\"\nsecure = \"on\"\n")
                       .backends[0].sticky;
  EXPECT_EQ(all.cookie, "__Host-at");
  EXPECT_EQ(all.ttl, 0s);
  EXPECT_EQ(all.secret.reveal(), std::string(32, 's'));
  EXPECT_EQ(all.same_site, Sticky::SameSite::strict);
  EXPECT_EQ(all.secure, Sticky::Secure::on);
  EXPECT_EQ(expect_good("[backend.app.sticky]\nttl = \"0s\"\n").backends[0].sticky.ttl, 0s);
}

TEST_F(Check, StickyRefusesWhatNoBrowserWouldKeep) {
  const auto sticky = [](std::string_view rest) { return "[backend.app.sticky]\n" + std::string(rest) + "\n"; };
  expect_error(sticky("cookie = \"a;b\""), "'cookie' = \"a;b\" is no name of a cookie");
  expect_error(sticky("cookie = \"\""), "'cookie' is empty");
  expect_error(sticky("path = \"chat\""), "'path' = \"chat\" is no path of a cookie");
  expect_error(sticky("path = \"/a;Domain=x\""), "'path' = \"/a;Domain=x\" is no path of a cookie");
  expect_error(sticky("path = \"/a\\r\\nX: y\""), "'path' = \"/a??X: y\" is no path of a cookie");
  expect_error(sticky("domain = \"a b\""), "'domain' = \"a b\" is no host name");
  expect_error(sticky("same_site = \"none\"\nsecure = \"off\""), "browsers refuse same_site = \"none\"");
  expect_error(sticky("cookie = \"__Host-a\"\nsecure = \"on\"\npath = \"/x\""), "a cookie __Host-... has path \"/\"");
  expect_error(sticky("cookie = \"__Host-a\"\nsecure = \"on\"\ndomain = \"x.test\""), "a cookie __Host-... has path");
  expect_error(sticky("cookie = \"__Secure-a\""), "a cookie __Secure-a needs secure = \"on\"");
  folder_.write("short.secret", "short\n");
  expect_error(sticky("secret_file = \"short.secret\""), "short.secret is shorter than 32 octets");
  expect_error("[backend.b]\nservers = [\"ws://h:1\"]\nbalance = { unit = \"message\" }\nsticky = {}\n",
               "'sticky' needs unit = \"connection\"");
}

TEST_F(Check, StickyAndAuthNeedCookiesOfTheirOwn) {
  const std::string backend = "[backend.b]\nservers = [\"ws://h:1\"]\nsticky = { cookie = \"session\" }\n";
  const std::string route = "[[route]]\npath = \"/r\"\nbackend = \"b\"\nauth = \"a\"\n";
  expect_error(good_jwt("from = [\"cookie:session\"]\n") + backend + route,
               "cookie 'session' is the carrier of auth 'a' and makes backend 'b' sticky");
  expect_good(good_jwt("from = [\"cookie:token\"]\n") + backend + route);
}

TEST_F(Check, HeaderRulesAreRead) {
  const auto route_of = [&](std::string_view rest) { return expect_good(good_jwt() + route(rest)).routes[1]; };
  const auto good = route_of(
      "auth = \"a\"\nrequest_headers = { set = { X-Tenant = \"acme\", X-User = \"{claim:sub}\", Host = \"app:80\" }, "
      "remove = [\"Origin\"] }\nresponse_headers = { set = { X-A = \"\" }, remove = \"Server\" }\n");
  ASSERT_EQ(good.request_headers.set.size(), 3u);
  EXPECT_EQ(good.request_headers.set[1].first, "X-User");
  EXPECT_EQ(good.request_headers.set[1].second.source(), "{claim:sub}");
  EXPECT_THAT(good.request_headers.remove, ElementsAre("Origin"));
  EXPECT_EQ(good.response_headers.set.size(), 1u);
  EXPECT_THAT(good.response_headers.remove, ElementsAre("Server"));
  EXPECT_TRUE(expect_good("").routes[0].request_headers.empty());
}

TEST_F(Check, HeaderRulesCannotTouchTheGatewaysOwnFields) {
  const auto request = [](std::string_view rest) { return route("request_headers = { " + std::string(rest) + " }"); };
  const auto response = [](std::string_view rest) { return route("response_headers = { " + std::string(rest) + " }"); };
  for (const char* name : {"Connection", "Upgrade", "Transfer-Encoding", "Content-Length", "Sec-WebSocket-Key", "keep-alive"}) {
    const std::string set = "set = { " + std::string(name) + " = \"x\" }";
    const std::string remove = "remove = [\"" + std::string(name) + "\"]";
    expect_error(request(set), "'" + std::string(name) + "' cannot be set by a rule");
    expect_error(request(remove), "'" + std::string(name) + "' cannot be removed by a rule");
    expect_error(response(set), "'" + std::string(name) + "' cannot be set by a rule");
    expect_error(response(remove), "'" + std::string(name) + "' cannot be removed by a rule");
  }
  for (const char* name : {"X-Forwarded-For", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "Via", "traceparent", "X-Request-Id"}) {
    expect_error(request("set = { " + std::string(name) + " = \"x\" }"), "'" + std::string(name) + "' cannot be set by a rule");
  }
  expect_error(request("remove = [\"Host\"]"), "'Host' cannot be removed by a rule");
  expect_error(request("set = { X_Tenant = \"x\" }"), "'X_Tenant' cannot be set by a rule");
  expect_error(good_jwt("forward = { sub = \"X-User-Id\" }\n") + request("set = { x-user-id = \"root\" }"),
               "'x-user-id' cannot be set by a rule");
  expect_error(good_jwt("forward = { sub = \"X-User-Id\" }\n") + request("remove = [\"X-User-Id\"]"),
               "'X-User-Id' cannot be removed by a rule");
}

TEST_F(Check, HeaderRulesHaveValuesThatAHeadMayHold) {
  const auto request = [](std::string_view rest) { return route("request_headers = { " + std::string(rest) + " }"); };
  expect_error(request("set = { \"a b\" = \"x\" }"), "\"a b\" is no name of a field");
  expect_error(request("remove = [\"a:\"]"), "\"a:\" is no name of a field");
  expect_error(request("set = { X-A = \"a\\r\\nX: y\" }"), "the value of 'X-A' holds an octet that no field may hold");
  expect_error(request("set = { X-A = \"a\\u0000\" }"), "the value of 'X-A' holds an octet that no field may hold");
  expect_error(request("set = { X-A = \"{client}\" }"), "the value of 'X-A' has the unknown placeholder {client}");
  expect_error(request("set = { X-A = true }"), "the value of 'X-A' must be a string");
  expect_error(request("set = { X-A = [\"a\", \"b\"] }"), "the value of 'X-A' must be a string");
  expect_error(request("set = { X-A = 5 }"), "'X-A' in 'set' must be a string");
  expect_error(request("set = { X-A = \"{claim:sub}\" }"), "the value of 'X-A' asks for a claim, but the route has no auth");
  expect_error(request("set = { X-A = \"a\", x-a = \"b\" }"), "'x-a' stands in the rules twice");
  expect_error(request("set = { X-A = \"a\" }, remove = [\"X-A\"]"), "'X-A' stands in the rules twice");
  expect_error(request("set = { Host = \"a b\" }"), "\"a b\" is no host");
  expect_error(request("set = { Host = \"{host}.internal\" }"), "\"{host}.internal\" is no host");
}

TEST_F(Check, StripPrefixIsTheBeginningOfThePath) {
  const auto with = [](std::string_view path, std::string_view prefix) {
    return "[[route]]\npath = \"" + std::string(path) + "\"\nbackend = \"app\"\nstrip_prefix = \"" + std::string(prefix) + "\"\n";
  };
  EXPECT_EQ(expect_good(with("/api/*", "/api")).routes[1].strip_prefix, "/api");
  EXPECT_EQ(expect_good(with("/api/v1/*", "/api")).routes[1].strip_prefix, "/api");
  EXPECT_EQ(expect_good(with("/api", "/api")).routes[1].strip_prefix, "/api");
  for (const char* prefix : {"/api/", "api", "/", "/a/../api", "/%61pi", "//api", "/api%2f", "/a;b"}) {
    expect_error(with("/api/*", prefix), "'strip_prefix' = \"" + std::string(prefix) + "\" is no prefix in canonical form");
  }
  expect_error(with("/apix/*", "/api"), "'strip_prefix' = \"/api\" is not the beginning of 'path' = \"/apix/*\"");
  expect_error(with("/r", "/api"), "'strip_prefix' = \"/api\" is not the beginning of 'path' = \"/r\"");
}

TEST_F(Check, ARedirectLeadsToTheListenerWithTls) {
  const auto plain = [](std::string_view rest) {
    return "[[listener]]\nname = \"p\"\nbind = \":80\"\n" + std::string(rest) + "\n";
  };
  const auto tls = [](std::string_view bind) {
    return "[[listener]]\nbind = \"" + std::string(bind) + "\"\ntls = { cert = \"server.crt\", key = \"server.key\" }\n";
  };
  const std::string redirect = plain("redirect = \"https\"");
  EXPECT_EQ(expect_good(redirect + tls(":8443")).listeners[1].redirect_port, 8443);
  EXPECT_EQ(expect_good(tls(":8443") + redirect + tls(":443")).listeners[2].redirect_port, 443);
  EXPECT_EQ(expect_good(plain("redirect = \"https\"\nredirect_port = 9443")).listeners[1].redirect_port, 9443);
  EXPECT_EQ(expect_good(plain("redirect = \"off\"")).listeners[1].redirect_port, 0);
  expect_error(redirect, "there is no listener with TLS to redirect to");
  // One that speaks no HTTP is nowhere to send a browser.
  const std::string raw = tls(":5432") + "name = \"raw\"\nprotocol = \"tcp\"\nbackend = \"octets\"\n[backend.octets]\nservers = [\"tcp://h:1\"]\n";
  expect_error(redirect + raw, "there is no listener with TLS to redirect to");
  EXPECT_EQ(expect_good(redirect + tls(":8443") + raw).listeners[1].redirect_port, 8443);
  expect_error(redirect + tls(":8443") + tls(":9443"), "there are several listeners with TLS to redirect to");
  expect_error(redirect + tls(":0"), "the listener with TLS has no port of its own to redirect to");
  expect_error(plain("redirect_port = 443"), "'redirect_port' needs redirect = \"https\"");
  expect_error(tls(":8443") + "redirect = \"https\"\n", "'redirect' is for plain listeners");
}

TEST_F(Check, AnAcmeFolderIsRelativeToItsFile) {
  const auto with = [](std::string_view folder) {
    return "[[listener]]\nbind = \":80\"\nacme_folder = \"" + std::string(folder) + "\"\n";
  };
  folder_.write("webroot/x", "");
  EXPECT_EQ(expect_good(with("webroot")).listeners[1].acme_folder, folder_.path("webroot"));
  expect_warning(with("nowhere"), folder_.path("nowhere") + " is no folder");
  expect_warning(with("webroot/x"), folder_.path("webroot/x") + " is no folder");
}

}  // namespace
}  // namespace sluice::config
