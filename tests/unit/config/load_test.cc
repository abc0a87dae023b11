// Whole configurations: what they come to in Settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "config/check.h"
#include "loading.h"

namespace sluice::config {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The configuration that the tests of the command line load, too.
const std::string kExample = content_of(kProject + "tests/support/example.toml");

class Example : public ::testing::Test {
 protected:
  Example() {
    folder_.write_credentials();
    loaded_ = load(folder_.write("sluice.toml", kExample));
  }
  const Settings& settings() const { return loaded_.settings; }
  Folder folder_;
  Loaded loaded_;
};

TEST_F(Example, LoadsWithNothingButTheWarningOfTokensOnThePlainListener) {
  EXPECT_TRUE(loaded_.ok());
  EXPECT_EQ(brief(loaded_),
            "44:8: warning: tokens in the query of '/chat' can be read on plain listener 'plain' | restrict "
            "the route "
            "with listener = [...], or remove query: from the carriers\n");
}

TEST_F(Example, FillsServerLogAndAdmin) {
  EXPECT_EQ(settings().file, folder_.path("sluice.toml"));
  EXPECT_EQ(settings().server.workers, 1U);
  EXPECT_EQ(settings().server.drain_timeout, Duration(10s));
  EXPECT_EQ(settings().log.access, folder_.path("access.log"));
  EXPECT_EQ(settings().log.file, "stderr");
  EXPECT_EQ(settings().admin.bind.text(), "127.0.0.1:9901");
  EXPECT_THAT(settings().files, ElementsAre(folder_.path("sluice.toml"), folder_.path("hs256.secret"),
                                            folder_.path("server.crt"), folder_.path("server.key")));
  EXPECT_THAT(settings().watched, ElementsAre(folder_.path("hs256.secret"), folder_.path("server.crt"),
                                              folder_.path("server.key")));
}

TEST_F(Example, FillsListeners) {
  ASSERT_EQ(settings().listeners.size(), 2U);
  const ListenerSettings& tls = settings().listeners[0];
  ASSERT_TRUE(tls.tls);
  ASSERT_EQ(tls.tls->certificates.size(), 1U);
  EXPECT_EQ(tls.tls->certificates[0].name, "server.crt");
  EXPECT_THAT(tls.tls->certificates[0].certificate, HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_THAT(tls.tls->certificates[0].key.reveal(), HasSubstr("BEGIN PRIVATE KEY"));
  EXPECT_EQ(settings().listeners[1].name, "plain");
  EXPECT_FALSE(settings().listeners[1].tls);
}

TEST_F(Example, FillsAuth) {
  ASSERT_EQ(settings().auths.size(), 1U);
  const policy::AuthSettings& auth = settings().auths[0];
  EXPECT_EQ(auth.jwt.secret.reveal(), std::string(32, 's')) << "one trailing newline is removed";
  EXPECT_THAT(auth.jwt.algorithms, ElementsAre(net::JwsAlgorithm::hs256));
  EXPECT_THAT(auth.jwt.audience, ElementsAre("chat"));
  ASSERT_EQ(auth.from.size(), 4U);
  EXPECT_EQ(auth.from[1].kind, policy::Carrier::Kind::query);
  EXPECT_EQ(auth.from[1].name, "access_token");
  EXPECT_EQ(auth.from[3].kind, policy::Carrier::Kind::cookie);
  EXPECT_THAT(auth.forward, ElementsAre(std::pair<std::string, std::string>("sub", "X-User-Id")));
  EXPECT_EQ(auth.jwt.leeway_seconds, 30);
  EXPECT_TRUE(auth.close_on_expiry);
  EXPECT_EQ(auth.expiry_close_code, 4401);
}

TEST_F(Example, FillsLimits) {
  using policy::LimitSettings;
  ASSERT_EQ(settings().limits.size(), 3U);
  EXPECT_EQ(settings().limits[0].key, LimitSettings::Key::connection);
  EXPECT_EQ(settings().limits[0].rate, 1'000'000U);
  EXPECT_EQ(settings().limits[0].on_limit, LimitSettings::Action::delay);
  EXPECT_EQ(settings().limits[1].claim, "sub");
  EXPECT_EQ(settings().limits[1].unit, LimitSettings::Unit::bytes);
  EXPECT_EQ(settings().limits[1].rate, 100ULL << 30);
  EXPECT_EQ(settings().limits[1].on_limit, LimitSettings::Action::close);
  EXPECT_EQ(settings().limits[2].burst, 100U);
  EXPECT_EQ(settings().limits[2].on_limit, LimitSettings::Action::reject);
}

TEST_F(Example, FillsRoutesAndBackends) {
  ASSERT_EQ(settings().routes.size(), 3U);
  const RouteSettings& chat = settings().routes[0];
  EXPECT_EQ(chat.name, "/chat");
  EXPECT_THAT(chat.rate_limit, ElementsAre("messages", "bytes", "new"));
  EXPECT_EQ(chat.websocket.max_message, 16U << 20);
  EXPECT_TRUE(chat.websocket.validate_utf8);
  EXPECT_FALSE(chat.websocket.pass_compression) << "validate_utf8 reads what compression would hide";
  EXPECT_EQ(chat.websocket.origins.size(), 1U);
  EXPECT_FALSE(settings().routes[1].websocket.forward_pings) << "tcp knows no pings";
  ASSERT_EQ(settings().backends.size(), 3U);
  EXPECT_EQ(settings().backends[0].policy, upstream::Policy::least_connections);
  EXPECT_EQ(settings().backends[0].servers[1].weight, 2U);
  EXPECT_EQ(settings().backends[0].servers[1].port, 9002);
  EXPECT_EQ(settings().backends[1].unit, upstream::Unit::message);
  EXPECT_EQ(settings().backends[2].servers[0].scheme, upstream::Scheme::tcp);
}

TEST_F(Example, DumpShowsTheRoutingOrderAndNoSecret) {
  const std::string text = dump(settings());
  EXPECT_EQ(text.find(std::string(32, 's')), std::string::npos);
  EXPECT_EQ(text.find("BEGIN"), std::string::npos);
  EXPECT_THAT(text, HasSubstr("secret ********"));
  EXPECT_LT(text.find("1. /chat"), text.find("2. /legacy"));
  EXPECT_LT(text.find("2. /legacy"), text.find("3. /*"));
  EXPECT_THAT(text,
              HasSubstr("claim:sub: 100GiB bytes per 1s, burst one second of rate, on_limit close 1008"));
}

TEST(Load, DefaultsOfTheSchemaAreThoseOfTheSettings) {
  const Loaded loaded = load_text(around(""), "t.toml");
  ASSERT_EQ(text_of(loaded), "");
  const Settings expected;
  const Settings& found = loaded.settings;
  EXPECT_EQ(found.server.workers, expected.server.workers);
  EXPECT_EQ(found.server.drain_timeout, expected.server.drain_timeout);
  EXPECT_EQ(found.server.max_connections, expected.server.max_connections);
  EXPECT_EQ(found.server.max_handshakes, expected.server.max_handshakes);
  EXPECT_EQ(found.log.level, expected.log.level);
  EXPECT_EQ(found.log.file, expected.log.file);
  EXPECT_EQ(found.log.access, expected.log.access);
  EXPECT_EQ(found.log.queue, expected.log.queue);
  EXPECT_EQ(found.admin.enabled, expected.admin.enabled);
  EXPECT_EQ(found.admin.bind.text(), "127.0.0.1:9901");
  const ListenerSettings listener;
  EXPECT_EQ(found.listeners[0].head.head, listener.head.head);
  EXPECT_EQ(found.listeners[0].head.line, listener.head.line);
  EXPECT_EQ(found.listeners[0].head.field, listener.head.field);
  EXPECT_EQ(found.listeners[0].head.fields, listener.head.fields);
  EXPECT_EQ(found.listeners[0].tls_timeout, listener.tls_timeout);
  EXPECT_EQ(found.listeners[0].head_timeout, listener.head_timeout);
  EXPECT_EQ(found.listeners[0].notsent_lowat, listener.notsent_lowat);
  EXPECT_EQ(found.listeners[0].send_buffer, listener.send_buffer);
  EXPECT_EQ(found.listeners[0].max_connections, listener.max_connections);
  const WebSocketSettings ws;
  const WebSocketSettings& have = found.routes[0].websocket;
  EXPECT_EQ(have.max_message, ws.max_message);
  EXPECT_EQ(have.max_message_to_client, ws.max_message_to_client);
  EXPECT_EQ(have.max_fragments, ws.max_fragments);
  EXPECT_EQ(have.validate_utf8, ws.validate_utf8);
  EXPECT_EQ(have.ping_interval, ws.ping_interval);
  EXPECT_EQ(have.pong_timeout, ws.pong_timeout);
  EXPECT_EQ(have.idle_timeout, ws.idle_timeout);
  EXPECT_EQ(have.max_lifetime, ws.max_lifetime);
  EXPECT_EQ(have.fragment_timeout, ws.fragment_timeout);
  EXPECT_EQ(have.write_stall, ws.write_stall);
  EXPECT_EQ(have.close_timeout, ws.close_timeout);
  EXPECT_EQ(have.forward_pings, ws.forward_pings);
  EXPECT_EQ(have.pass_compression, ws.pass_compression);
  EXPECT_EQ(have.control_rate, ws.control_rate);
  EXPECT_EQ(have.control_burst, ws.control_burst);
  EXPECT_EQ(have.text_frames, ws.text_frames);
  EXPECT_EQ(have.reject_with_close, ws.reject_with_close);
  const upstream::BackendSettings backend;
  const upstream::BackendSettings& app = found.backends[0];
  EXPECT_EQ(app.policy, backend.policy);
  EXPECT_EQ(app.unit, backend.unit);
  EXPECT_EQ(app.max_legs, backend.max_legs);
  EXPECT_EQ(app.connect_timeout, backend.connect_timeout);
  EXPECT_EQ(app.handshake_timeout, backend.handshake_timeout);
  EXPECT_EQ(app.retries, backend.retries);
  EXPECT_EQ(app.health.active, backend.health.active);
  EXPECT_EQ(app.health.interval, backend.health.interval);
  EXPECT_EQ(app.health.timeout, backend.health.timeout);
  EXPECT_EQ(app.health.rise, backend.health.rise);
  EXPECT_EQ(app.health.fall, backend.health.fall);
  EXPECT_EQ(app.ejection.failures, backend.ejection.failures);
  EXPECT_EQ(app.ejection.base, backend.ejection.base);
  EXPECT_EQ(app.ejection.most, backend.ejection.most);
  EXPECT_EQ(app.ejection.max_percent, backend.ejection.max_percent);
}

TEST(Load, DefaultsOfAuthAndLimitsAreThoseOfTheSettings) {
  Folder folder;
  folder.write_credentials();
  const Loaded loaded =
      load(folder.write("t.toml", around("[auth.a]\ntype = \"jwt\"\nalgorithms = [\"HS256\"]\n"
                                         "secret_file = \"hs256.secret\"\n"
                                         "[rate_limit.l]\nkey = \"ip\"\nrate = \"1/s\"\n")));
  ASSERT_TRUE(loaded.ok()) << text_of(loaded);
  const policy::AuthSettings auth;
  EXPECT_EQ(loaded.settings.auths[0].jwt.leeway_seconds, auth.jwt.leeway_seconds);
  EXPECT_EQ(loaded.settings.auths[0].jwt.max_lifetime_seconds, auth.jwt.max_lifetime_seconds);
  EXPECT_EQ(loaded.settings.auths[0].close_on_expiry, auth.close_on_expiry);
  EXPECT_EQ(loaded.settings.auths[0].expiry_close_code, auth.expiry_close_code);
  ASSERT_EQ(loaded.settings.auths[0].from.size(), 1U);
  EXPECT_EQ(loaded.settings.auths[0].from[0].kind, policy::Carrier::Kind::header);
  EXPECT_EQ(loaded.settings.auths[0].from[0].name, "Authorization");
  policy::LimitSettings limit;
  limit.name = "l";
  limit.rate = 1;
  EXPECT_EQ(loaded.settings.limits[0], limit);
}

TEST(Load, ExpandsTheEnvironmentInStringValuesOnly) {
  ::setenv("SLUICE_TEST_PORT", "9001", 1);
  ::setenv("SLUICE_TEST_EMPTY", "", 1);
  ::setenv("SLUICE_TEST_EVIL", "x\"]\n[admin]\nbind = \"0.0.0.0:1", 1);
  ::unsetenv("SLUICE_TEST_GONE");
  const std::string text = std::string(kListener) +
                           "[[route]]\npath = \"/*\"\nbackend = \"${SLUICE_TEST_GONE:-app}\"\n" +
                           "name = \"$${HOME} costs $5 ${SLUICE_TEST_EMPTY:-n}${SLUICE_TEST_EMPTY}\"\n" +
                           "[backend.app]\nservers = [\"ws://127.0.0.1:${SLUICE_TEST_PORT}\"]\n";
  const Loaded loaded = load_text(text, "t.toml");
  ASSERT_EQ(text_of(loaded), "");
  EXPECT_EQ(loaded.settings.backends[0].servers[0].port, 9001);
  EXPECT_EQ(loaded.settings.routes[0].name, "${HOME} costs $5 n");

  const Loaded evil = load_text(around("[log]\nfile = \"${SLUICE_TEST_EVIL}\"\n"), "t.toml");
  EXPECT_EQ(evil.settings.admin.bind.text(), "127.0.0.1:9901") << "a variable's value is never read as TOML";
}

TEST(Load, MissingVariableIsAnErrorAtItsPlace) {
  ::unsetenv("SLUICE_TEST_GONE");
  EXPECT_EQ(
      brief(load_text(around("[log]\nlevel = \"${SLUICE_TEST_GONE}\"\nfile = \"${1x}\"\naccess = \"${A\"\n"),
                      "t.toml")),
      "10:9: error: the environment variable 'SLUICE_TEST_GONE' is not set | a default is written "
      "${SLUICE_TEST_GONE:-x}\n"
      "11:8: error: '1x' is no name of an environment variable\n"
      "12:10: error: '${' has no '}' | \"$${\" stands for the characters ${\n");
}

TEST(Load, IncludesAddTheirTables) {
  Folder folder;
  folder.write_credentials();
  folder.write("routes.d/a.toml",
               "[[route]]\npath = \"/a\"\nbackend = \"a\"\n[backend.a]\nservers = [\"ws://h:1\"]\n");
  folder.write("routes.d/b.toml",
               "version = 1\n[[route]]\npath = \"/b\"\nbackend = \"app\"\n"
               "[admin]\ntoken_file = \"../admin.token\"\n");
  folder.write("routes.d/ignored.txt", "[");
  const Loaded loaded = load(folder.write(
      "main.toml",
      "include = [\"routes.d/*.toml\", \"none.d/*.toml\"]\n[admin]\nbind = \"127.0.0.1:1\"\n" + around("")));
  ASSERT_EQ(text_of(loaded), "");
  ASSERT_EQ(loaded.settings.routes.size(), 3U);
  EXPECT_EQ(loaded.settings.routes[1].path, "/a");
  EXPECT_EQ(loaded.settings.routes[2].path, "/b");
  EXPECT_EQ(loaded.settings.backends.size(), 2U);
  EXPECT_EQ(loaded.settings.admin.token.reveal(), std::string(32, 't')) << "relative to the file that names it";
  EXPECT_EQ(loaded.settings.admin.bind.port(), 1);
  EXPECT_THAT(loaded.settings.files, ::testing::Contains(folder.path("routes.d/a.toml")));
}

TEST(Load, FaultsOfAnIncludeCarryItsNameAndAllFilesAreJudged) {
  Folder folder;
  folder.write("a.toml", "[[route]]\npth = \"/a\"\n");
  folder.write("b.toml", "x = = 1\n");
  folder.write("c.toml", "[backend.app]\nservers = [\"ws://h:1\"]\n[server]\nworkers = 2\n");
  const Loaded loaded = load(folder.write(
      "main.toml",
      "include = [\"a.toml\", \"b.toml\", \"c.toml\", \"gone.toml\"]\n[server]\nworkers = 1\n" + around("")));
  const std::string text = text_of(loaded);
  EXPECT_THAT(text, HasSubstr(folder.path("a.toml") +
                              ":2:1: error: unknown key 'pth' in [[route]]\n  2 | pth = \"/a\"\n"
                              "    | ^\n  help: did you mean 'path'?\n"));
  EXPECT_THAT(text, HasSubstr(folder.path("b.toml") + ":1:5: error: not TOML:"));
  EXPECT_THAT(text, HasSubstr(folder.path("c.toml") + ":1:10: error: 'app' is defined twice"));
  EXPECT_THAT(text, HasSubstr(folder.path("c.toml") + ":4:1: error: 'workers' is defined twice"));
  EXPECT_THAT(text, HasSubstr("include: there is no file gone.toml"));
}

TEST(Load, IncludeCyclesAndDepthAreBounded) {
  Folder folder;
  folder.write("a.toml", "include = \"b.toml\"\n");
  folder.write("b.toml", "include = [\"*.toml\"]\n");
  EXPECT_THAT(text_of(load(folder.path("a.toml"))), HasSubstr("includes itself"));
  for (int i = 0; i < 12; ++i) {
    folder.write("d" + std::to_string(i) + ".cfg", "include = \"d" + std::to_string(i + 1) + ".cfg\"\n");
  }
  folder.write("d12.cfg", "");
  EXPECT_THAT(text_of(load(folder.path("d0.cfg"))), HasSubstr("include: more than 8 files deep"));
}

TEST(Load, AFileThatCannotBeReadIsAnError) {
  Folder folder;
  EXPECT_EQ(text_of(load(folder.path("gone.toml"))),
            folder.path("gone.toml") + ": error: cannot be read: No such file or directory\n");
  EXPECT_THAT(text_of(load(folder.path(""))), HasSubstr("it is a folder"));
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(text_of(load(folder.path("pipe"))), HasSubstr("it is not a regular file"));
}

TEST(Load, AHugeFileIsAnErrorAndNoCrash) {
  Folder folder;
  const std::string file = folder.write("huge.toml", std::string(10 << 20, '#'));
  EXPECT_THAT(text_of(load(file)), HasSubstr("it is larger than 8MiB"));
  EXPECT_FALSE(load_text(std::string(10 << 20, 'a'), "t.toml").ok());
  // Large but readable: every fault counts, few are kept.
  std::string many;
  for (int i = 0; i < 20000; ++i) many += "key" + std::to_string(i) + " = 1\n";
  const Loaded loaded = load_text(many, "t.toml");
  EXPECT_FALSE(loaded.ok());
  EXPECT_LE(loaded.diagnostics.size(), 201U);
  EXPECT_THAT(text_of(loaded), HasSubstr("further faults are not listed"));
}

TEST(Load, DeepNestingIsAnErrorAndNoCrash) {
  const auto repeat = [](const std::string& piece, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += piece;
    return out;
  };
  for (const std::string& text :
       {"x = " + repeat("[", 1000) + repeat("]", 1000), "x = " + repeat("[", 1000000),
        "x = " + repeat("{a=", 1000) + "1" + repeat("}", 1000), "[" + repeat("a.", 1000) + "a]\n",
        repeat("a.", 2000000) + "a = 1\n", "[[" + repeat("\"q\".", 1000) + "a]]\n",
        "x = {" + repeat("a.", 1000) + "a = 1}"}) {
    const Loaded loaded = load_text(text, "t.toml");
    EXPECT_FALSE(loaded.ok());
    EXPECT_THAT(text_of(loaded), HasSubstr("the nesting is too deep"));
  }
  // Brackets and dots in strings and comments are not nesting.
  const std::string dots = repeat("[.{", 100);
  EXPECT_TRUE(
      load_text(around("# " + dots + "\n[log]\nfile = \"" + dots + "\"\naccess = '" + dots + "'\n[server]\n"),
                "t.toml")
          .ok());
}

TEST(Load, TextThatIsNoTomlIsAnErrorWithItsPlace) {
  EXPECT_THAT(text_of(load_text("[server\nworkers = 1\n", "t.toml")),
              HasSubstr("t.toml:1:8: error: not TOML:"));
  EXPECT_THAT(text_of(load_text("a = 1\na = 2\n", "t.toml")), HasSubstr("t.toml:2:"));
  EXPECT_FALSE(load_text("x = \"\xff\xfe\"\n", "t.toml").ok());
  EXPECT_FALSE(load_text(std::string("a\0b = 1\n", 8), "t.toml").ok());
}

TEST(Load, AnEmptyFileLacksListenerAndRoute) {
  EXPECT_EQ(
      text_of(load_text("", "t.toml")),
      "t.toml: error: there is no [[listener]]\n  help: [[listener]] with bind = \"127.0.0.1:8080\"\n"
      "t.toml: error: there is no [[route]]\n  help: [[route]] with path = \"/*\" and backend = \"NAME\"\n");
}

TEST(Load, EveryCutOfTheExampleIsJudgedWithoutACrash) {
  const std::string_view text(kExample);
  for (std::size_t size = 0; size < text.size(); ++size) {
    const Loaded loaded = load_text(text.substr(0, size), "/nonexistent/t.toml");
    EXPECT_FALSE(loaded.ok()) << size;
    for (const Diagnostic& one : loaded.diagnostics) EXPECT_TRUE(one.text().ends_with('\n'));
  }
}

}  // namespace
}  // namespace sluice::config
