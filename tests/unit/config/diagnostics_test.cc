// How faults look, and one of each kind that the schema finds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "loading.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Diagnostics, NothingOfAFileReachesTheTerminalAsAnEscape) {
  const std::string texts[] = {
      "a = tr\x01\x0e\n",                 // the parser's own message repeats it
      "a = \x1b[31m\n",
      "\"\\u001b[2J\" = 1\n",            // an unknown key
      "a = \"\xc2\x9b""31m\" \"\n",         // CSI as one code point
      "[[listener]]\nbind = \"\\u0007\"\n",  // a value
  };
  for (const std::string& text : texts) {
    const std::string shown = text_of(load_text(text, "slu\x1b[1mice.toml"));
    EXPECT_THAT(shown, HasSubstr("slu?[1mice.toml")) << shown;
    EXPECT_THAT(shown, Not(HasSubstr("\xc2\x9b")));
    for (const char c : shown) EXPECT_TRUE(c == '\n' || (c & 0xE0) != 0) << static_cast<int>(c) << " in " << shown;
  }
}

TEST(Diagnostics, GoldenOutputOfTypos) {
  const char* text =
      "[[listner]]\n"
      "bind = \"127.0.0.1:8080\"\n"
      "\n"
      "[[listener]]\n"
      "bidn = \"127.0.0.1:8080\"\n"
      "\n"
      "[[route]]\n"
      "path = \"/*\"\n"
      "backend = \"aap\"\n"
      "[route.websocket]\n"
      "\tping_intervall = \"25s\"\n"
      "\n"
      "[backend.app]\n"
      "servers = [\"ws://127.0.0.1:9000\"]\n"
      "balance = \"least_conections\"\n"
      "connect_timeout = 3\n";
  EXPECT_EQ(
      text_of(load_text(text, "sluice.toml")),
      "sluice.toml:1:3: error: unknown key 'listner' in top level\n"
      "  1 | [[listner]]\n"
      "    |   ^\n"
      "  help: did you mean 'listener'?\n"
      "sluice.toml:4:1: error: [[listener]] needs 'bind'\n"
      "  4 | [[listener]]\n"
      "    | ^\n"
      "  help: bind = \"127.0.0.1:8080\"\n"
      "sluice.toml:5:1: error: unknown key 'bidn' in [[listener]]\n"
      "  5 | bidn = \"127.0.0.1:8080\"\n"
      "    | ^\n"
      "  help: did you mean 'bind'?\n"
      "sluice.toml:9:11: error: route '/*' refers to backend 'aap' which is not defined\n"
      "  9 | backend = \"aap\"\n"
      "    |           ^\n"
      "  help: did you mean 'app'?\n"
      "sluice.toml:11:2: error: unknown key 'ping_intervall' in [route.websocket]\n"
      "  11 | \tping_intervall = \"25s\"\n"
      "     | \t^\n"
      "  help: did you mean 'ping_interval'?\n"
      "sluice.toml:13:10: warning: backend 'app' is not used\n"
      "  13 | [backend.app]\n"
      "     |          ^\n"
      "sluice.toml:15:11: error: 'balance' has the unknown value \"least_conections\"\n"
      "  15 | balance = \"least_conections\"\n"
      "     |           ^\n"
      "  help: did you mean 'least_connections'? allowed: \"round_robin\", \"least_connections\", "
      "\"random_two\", "
      "\"consistent_hash\"\n"
      "sluice.toml:16:19: error: 'connect_timeout' must be a duration such as \"30s\", found an integer\n"
      "  16 | connect_timeout = 3\n"
      "     |                   ^\n"
      "  help: durations are strings with a unit: \"3s\"\n");
}

TEST(Diagnostics, CaretStandsUnderItsCharacterInUtf8AndInLongLines) {
  const std::string wide = text_of(load_text("x = { \"\xc3\xa4\xc3\xb6\" = 1 }\n", "t.toml"));
  EXPECT_THAT(wide, HasSubstr("t.toml:1:1: error"));
  const std::string line = "[server]\nworkers = 1 # " + std::string(400, 'x') + "\n";
  EXPECT_TRUE(load_text(around(line), "t.toml").ok());
  std::string long_list = "[log]\naccess_fields = [";
  for (int i = 0; i < 100; ++i) long_list += "\"ts\", ";
  const std::string text = text_of(load_text(around(long_list + "\"tz\"]\n"), "t.toml"));
  const std::size_t bar = text.find(" | ");
  const std::size_t end = text.find('\n', bar);
  const std::size_t caret = text.find('^', end);
  const std::size_t start = text.rfind('\n', caret) + 1;
  ASSERT_NE(caret, std::string::npos);
  EXPECT_EQ(text.substr(text.rfind('\n', bar) + 1 + (caret - start), 4), "\"tz\"") << text;
  EXPECT_LT(end - bar, 200U);
}

TEST(Diagnostics, ControlOctetsNeverReachATerminal) {
  const std::string text = text_of(load_text(around("[log]\nlevel = \"\\u001b[31m\"\n"), "t.toml"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("unknown value \"?[31m\""));
}

TEST(Diagnostics, InlineSecretsAreRefusedAndNotRepeated) {
  const std::string text = text_of(load_text(around("[auth.a]\ntype = \"jwt\"\nsecret = \"hunter2hunter2\"\n"
                                                    "[admin]\ntoken = \"hunter2hunter2\"\n"),
                                             "t.toml"));
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  const std::string nested = text_of(load_text(
      around("[auth]\na = { type = \"jwt\", 'secret'= \"hunter2hunter2\" }\nb = { password = \"hunter2 }\n"),
      "t.toml"));
  EXPECT_EQ(nested.find("hunter2"), std::string::npos) << nested;
  const std::string url = text_of(load_text(around("[redis]\nurl = \"redis://u:hunter2@h\"\n"), "/nonexistent/x.toml"));
  EXPECT_NE(url.find("holds a password"), std::string::npos) << url;
  EXPECT_EQ(url.find("hunter2"), std::string::npos) << url;
  EXPECT_THAT(text, HasSubstr("secrets come from files: secret_file"));
  EXPECT_THAT(text, HasSubstr("secrets come from files: token_file"));
}

struct Case {
  const char* text;      // behind a configuration that loads; its first line is line 9
  const char* expected;  // one of the lines of brief()
};

class Refusals : public ::testing::TestWithParam<Case> {};

TEST_P(Refusals, AreSaidAtTheirPlace) {
  const Loaded loaded = load_text(around(GetParam().text), "/nonexistent/t.toml");
  EXPECT_FALSE(loaded.ok()) << GetParam().text;
  EXPECT_THAT(brief(loaded), HasSubstr(GetParam().expected)) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Types, Refusals,
    ::testing::Values(
        Case{"[server]\nworkers = \"two\"\n",
             "10:11: error: 'workers' must be an integer or \"auto\", found a string"},
        Case{"[server]\nworkers = 0\n", "10:11: error: 'workers' must be from 1 to 1024 | use \"auto\""},
        Case{"[server]\nworkers = 1.5\n",
             "10:11: error: 'workers' must be an integer or \"auto\", found a floating-point number"},
        Case{"[server]\nworkers = true\n", "found a boolean"},
        Case{"[server]\ndrain_timeout = 30\n",
             "10:17: error: 'drain_timeout' must be a duration such as \"30s\", found an integer | "
             "durations are strings with a unit: \"30s\""},
        Case{"[server]\ndrain_timeout = \"30\"\n",
             "10:17: error: 'drain_timeout': \"30\" has no unit | write a duration such as \"30s\""},
        Case{"[server]\ndrain_timeout = \"30 s\"\n", "has an unknown unit; known are ns, us, ms, s, m, h, d"},
        Case{"[server]\ndrain_timeout = \"2d\"\n", "'drain_timeout' must be from 0s to 1d"},
        Case{"[server]\ndrain_timeout = 1979-05-27\n", "found a date or time"},
        Case{"[admin]\nenabled = \"no\"\n", "10:11: error: 'enabled' must be true or false, found a string"},
        Case{"[admin]\nenabled = 0\n", "'enabled' must be true or false, found an integer"},
        Case{"[log]\nlevel = \"verbose\"\n",
             "10:9: error: 'level' has the unknown value \"verbose\" | allowed: \"debug\", \"info\""},
        Case{"[log]\nlevel = 3\n", "'level' must be a string, found an integer"},
        Case{"[log]\nfile = \"\"\n", "'file' is empty"},
        Case{"[log]\nfile = \"a\\u0000b\"\n", "'file' holds a NUL octet"},
        Case{"[log]\naccess_fields = [\"ts\", 3]\n",
             "10:24: error: 'access_fields' must be a list of strings, found an integer in it"},
        Case{"[log]\naccess_fields = [\"statsu\"]\n",
             "'access_fields' has the unknown value \"statsu\" | did you mean 'status'?"},
        Case{"log2 = 1\n", "unknown key 'log2' in [backend.app]"},
        Case{"[listener2]\n", "9:2: error: unknown key 'listener2' in top level | did you mean 'listener'?"},
        Case{"[server]\nmax_message = \"1MiB\"\n",
             "unknown key 'max_message' in [server] | 'max_message' belongs in [route.websocket]"},
        Case{"[[server]]\nworkers = 1\n", "'server' must be a table, found a list | write [server]"},
        Case{"[backend]\nweb = 1\n", "error"},
        Case{
            "[rate_limit]\nweb = 1\n",
            "10:1: error: 'web' in [rate_limit] must be a table, found an integer | write [rate_limit.NAME]"},
        Case{"[rate_limit.l]\nrate = \"1/s\"\n", "9:1: error: [rate_limit.l] needs 'key' | key = \"ip\""},
        Case{"[rate_limit.l]\nkey = \"ip\"\nrate = 50\n",
             "11:8: error: 'rate' must be a rate such as \"50/s\", found an integer | rates are "
             "strings with a time: \"50/s\""},
        Case{"[rate_limit.l]\nkey = \"ip\"\nrate = \"50\"\n", "'rate': \"50\" says no time"},
        Case{"[rate_limit.l]\nkey = \"ip\"\nrate = \"0/s\"\n", "'rate' must be at least 1"},
        Case{"[backend.b]\nservers = \"ws://h:1\"\n",
             "'servers' must be a list of strings or tables, found a string"},
        Case{"[backend.b]\nservers = [1]\n",
             "10:12: error: 'servers' must be a list of strings or tables, found an integer in it"},
        Case{"[backend.b]\nservers = [{ weight = 1 }]\n", "10:12: error: [backend.b.servers] needs 'url'"},
        Case{"[backend.b]\nservers = [{ url = \"ws://h:1\", weight = 0 }]\n",
             "'weight' must be from 1 to 1000"},
        Case{"[backend.b]\nservers = [{ url = \"ws://h:1\", wieght = 2 }]\n", "did you mean 'weight'?"},
        Case{"[[route]]\npath = \"/a\"\nbackend = \"app\"\nwebsocket = { max_message = 65536 }\n",
             "12:29: error: 'max_message' must be a size such as \"64KiB\" or \"unlimited\", found an "
             "integer | sizes are strings "
             "with a unit: \"65536B\""},
        Case{"[[route]]\npath = \"/a\"\nbackend = \"app\"\nwebsocket = { max_message = \"0B\" }\n",
             "'max_message' must be at least 1B | use \"unlimited\""},
        Case{"[[route]]\npath = \"/a\"\nbackend = \"app\"\nwebsocket = { idle_timeout = \"0s\" }\n",
             "use \"off\""},
        Case{"[[listener]]\nbind = \"127.0.0.1:1\"\nlimits = { header_fields = 0 }\n",
             "'header_fields' must be from 8 to 1000"},
        Case{"[[listener]]\nbind = \"127.0.0.1:1\"\nlimits = { header_bytes = \"0B\" }\n",
             "'header_bytes' must be from 1KiB to 1MiB"},
        Case{"[auth.a]\ntype = \"jwt\"\nalgorithms = [\"none\"]\n",
             "11:15: error: 'algorithms' has the unknown value \"none\""}));

INSTANTIATE_TEST_SUITE_P(
    Redis, Refusals,
    ::testing::Values(
        Case{"[redis]\ntimeout = \"50ms\"\n", "'url'"},
        Case{"[redis]\nurl = \"redis.internal:6379\"\n", "the 'url' of [redis] has no known scheme | write redis://HOST:PORT"},
        Case{"[redis]\nurl = \"redis://u:hunter2@h\"\n", "the 'url' of [redis] holds a password | passwords come from files: password_file"},
        Case{"[redis]\nurl = \"redis://:hunter2@h\"\n", "holds a password"},
        Case{"[redis]\nurl = \"redis://u@h\"\n", "the user 'u' needs 'password_file'"},
        Case{"[redis]\nurl = \"redis://h:0\"\n", "the 'url' of [redis]"},
        Case{"[redis]\nurl = \"redis://h/one\"\n", "has a database that is no number"},
        Case{"[redis]\nurl = \"redis://h/0?x=1\"\n", "has a database that is no number"},
        Case{"[redis]\nurl = \"redis://h#x\"\n", "the 'url' of [redis]"},
        Case{"[redis]\nurl = \"unix:\"\n", "names no socket"},
        Case{"[redis]\nurl = \"redis://h\"\nprefix = \"a b\"\n", "'prefix' = \"a b\" cannot begin a key"},
        Case{"[redis]\nurl = \"redis://h\"\nstale_after = \"1s\"\n", "'stale_after' is for on_store_failure = \"closed\""},
        Case{"[redis]\nurl = \"redis://h\"\ntls = { server_name = \"x\" }\n", "'tls' is only for rediss:// servers"}));

INSTANTIATE_TEST_SUITE_P(
    NotYetSupported, Refusals,
    ::testing::Values(
        Case{"[rate_limit.l]\nkey = \"ip\"\nrate = \"1/s\"\nscope = \"cluster\"\n",
             "12:9: error: 'scope' = \"cluster\" is not yet supported"},
        Case{"[rate_limit.l]\nkey = \"ip\"\nrate = \"1/s\"\nfallback = \"local\"\n",
             "'fallback' in [rate_limit.l] is not yet supported"},
        Case{"[backend.b]\nservers = [\"srv+ws://h\"]\n", "names no service"},
        Case{"[[route]]\npath = \"/a\"\nbackend = \"app\"\nwebsocket = { compression = true }\n",
             "'compression' = true is not yet supported"},
        Case{"[[route]]\npath = \"/a\"\nbackend = \"app\"\nwebsocket = { compression = \"gateway\" }\n",
             "'compression' = \"gateway\" is not yet supported"},
        Case{"[[listener]]\nbind = \"127.0.0.1:1\"\nalpn = [\"h2\", \"http/1.1\"]\n",
             "11:9: error: 'alpn' = \"h2\" is not yet supported"}));

}  // namespace
}  // namespace sluice::config
