// [[route.message]]: what it may say, and what is said of what it may not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/snapshot.h"
#include "loading.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;
using upstream::Aim;
using upstream::MessageMatch;

class Messages : public ::testing::Test {
 protected:
  static std::string with(std::string_view rules, std::string_view balance = "{ unit = \"message\" }",
                          std::string_view url = "ws://h:1") {
    return "[backend.b]\nservers = [\"" + std::string(url) + "\"]\nbalance = " + std::string(balance) +
           "\n[backend.other]\nservers = [\"ws://o:1\", \"ws://o:2\"]\n[backend.octets]\nservers = [\"tcp://o:1\"]\n"
           "[[route]]\npath = \"/r\"\nbackend = \"b\"\n" + std::string(rules) + "\n";
  }
  Settings good(const std::string& text) {
    Loaded loaded = load(folder_.write("t.toml", around(text)));
    EXPECT_TRUE(loaded.ok()) << text << "\n" << text_of(loaded);
    return std::move(loaded.settings);
  }
  void bad(const std::string& text, const std::string& message) {
    const Loaded loaded = load(folder_.write("t.toml", around(text)));
    EXPECT_FALSE(loaded.ok()) << text;
    EXPECT_THAT(brief(loaded), HasSubstr("error: " + message)) << text;
  }
  static std::string rule(std::string_view body) { return "[[route.message]]\n" + std::string(body) + "\n"; }
  Folder folder_;
};

TEST_F(Messages, SayWhatTheyMatchAndWhereTheyGo) {
  const Settings settings =
      good(with("inspect = \"1KiB\"\noversize = \"close\"\n" +
                rule("name = \"orders\"\nmatch = { pointer = \"/method\", prefix = \"order.\" }\nbackend = \"other\"") +
                rule("match = { opcode = \"binary\", hex = \"00fF\" }\nto = \"all\"") +
                rule("match = { bytes = \"GET \", pointer = \"/a~1b\", equals = \"1\" }\nbackend = \"b\"") +
                rule("match = { pointer = \"/x\", exists = true }") + rule("to = \"race\"")));
  const RouteSettings& route = settings.routes.back();
  EXPECT_EQ(route.inspect, 1024u);
  EXPECT_TRUE(route.close_oversized);
  ASSERT_EQ(route.messages.size(), 5u);
  EXPECT_EQ(route.messages[0].name, "orders");
  EXPECT_EQ(route.messages[0].backend, "other");
  EXPECT_EQ(route.messages[0].match.test, MessageMatch::Test::prefix);
  EXPECT_EQ(route.messages[0].match.value, "order.");
  EXPECT_EQ(route.messages[1].name, "2");
  EXPECT_EQ(route.messages[1].match.opcode, 2);
  EXPECT_EQ(route.messages[1].match.bytes, std::string("\x00\xff", 2));
  EXPECT_EQ(route.messages[1].aim, Aim::all);
  EXPECT_EQ(route.messages[2].match.bytes, "GET ");
  EXPECT_EQ(route.messages[2].match.pointer->tokens()[0], "a/b");
  EXPECT_EQ(route.messages[2].backend, "");  // the route's own
  EXPECT_EQ(route.messages[3].match.test, MessageMatch::Test::exists);
  EXPECT_EQ(route.messages[4].aim, Aim::race);

  Memory memory;
  const Snapshot snapshot(settings, memory, 1);
  const CompiledRoute& compiled = snapshot.routes().back();
  ASSERT_TRUE(compiled.messages);
  EXPECT_EQ(compiled.messages->clusters.size(), 2u);
  EXPECT_EQ(compiled.messages->cluster_of, (std::vector<std::uint8_t>{1, 0, 0, 0, 0}));
  EXPECT_EQ(compiled.plan.max_legs, 3);
  EXPECT_FALSE(compiled.plan.pass_deflate);
}

TEST_F(Messages, AreNotReadWhereNobodyAsks) {
  Memory memory;
  EXPECT_FALSE(Snapshot(good(with("")), memory, 1).routes().back().messages);
  const Snapshot keyed(good(with("", "{ unit = \"message\", policy = \"consistent_hash\", key = \"json:/room\" }")), memory, 1);
  ASSERT_TRUE(keyed.routes().back().messages);
  EXPECT_EQ(keyed.routes().back().messages->rules.wanted_of_text(), 32u * 1024);
}

TEST_F(Messages, SettingsThatReadNothingAreToldSo) {
  for (const char* key : {"inspect = \"1KiB\"", "oversize = \"close\""}) {
    const Loaded idle = load(folder_.write("t.toml", around(with(key))));
    EXPECT_TRUE(idle.ok());
    EXPECT_THAT(brief(idle), HasSubstr("has no effect: no message of this route is read")) << key;
    const Loaded read = load(folder_.write("t.toml", around(with(key, "{ unit = \"message\", policy = \"consistent_hash\", key = \"json:/room\" }"))));
    EXPECT_THAT(brief(read), Not(HasSubstr("has no effect"))) << key;
  }
}

// A key has the same server for every client, so that a client may need all of them.
TEST_F(Messages, WithKeysMayGoToEveryServer) {
  std::string servers;
  for (int i = 0; i < 20; ++i) servers += (i > 0 ? ", " : "") + ("\"ws://h" + std::to_string(i) + ":1\"");
  const auto legs = [&](const std::string& balance) {
    Memory memory;
    return Snapshot(good("[backend.many]\nservers = [" + servers + "]\nbalance = " + balance + "\n[[route]]\npath = \"/m\"\nbackend = \"many\"\n"),
                    memory, 1).routes().back().plan.max_legs;
  };
  EXPECT_EQ(legs("{ unit = \"message\", policy = \"consistent_hash\", key = \"json:/room\" }"), 20);
  EXPECT_EQ(legs("{ unit = \"message\", policy = \"round_robin\" }"), 8);
  EXPECT_EQ(legs("{ unit = \"message\", policy = \"consistent_hash\", key = \"json:/room\", max_legs = 3 }"), 3);
}

TEST_F(Messages, NeedABackendThatBalancesThem) {
  bad(with(rule(""), "\"round_robin\""), "[[route.message]] needs unit = \"message\" in backend 'b'");
  bad(with(rule("backend = \"none\"")), "rule '1' refers to backend 'none' which is not defined");
  bad(with(rule("backend = \"octets\"")), "messages cannot go to a tcp backend and to another one");
  bad(with(rule("match = { opcode = \"text\" }\nbackend = \"other\""), "{ unit = \"message\", max_legs = 1 }"),
      "max_legs = 1 of backend 'b' is less than the 2 backends of route '/r'");
}

TEST_F(Messages, AreToldWhatAMatchMayNotSay) {
  const auto match = [&](const std::string& what) { return with(rule("match = { " + what + " }")); };
  bad(match(""), "'match' is empty");
  bad(match("pointer = \"method\""), "\"method\" is no JSON pointer");
  bad(match("pointer = \"/a~2\""), "\"/a~2\" is no JSON pointer");
  bad(match("prefix = \"x\""), "'prefix' needs 'pointer'");
  bad(match("pointer = \"/a\", prefix = \"x\", equals = \"x\""), "only one of 'exists', 'equals' and 'prefix'");
  bad(match("pointer = \"/a\", exists = false"), "'exists' can only be true");
  bad(match("opcode = \"binary\", pointer = \"/a\""), "'pointer' reads text messages, and opcode = \"binary\"");
  bad(match("hex = \"0\""), "'hex' = \"0\" is no list of octets");
  bad(match("hex = \"0x\""), "'hex' = \"0x\" is no list of octets");
  bad(match("hex = \"00\", bytes = \"a\""), "'hex' stands in place of 'bytes'");
  bad(match("bytes = \"" + std::string(257, 'x') + "\""), "more than 256 octets");
  bad(match("opcode = \"ping\""), "'opcode' has the unknown value \"ping\"");
}

TEST_F(Messages, AreToldOfRulesThatCannotBe) {
  bad(with(rule("") + rule("match = { opcode = \"text\" }")), "rule '2' can never match");
  bad(with(rule("name = \"x\"\nmatch = { opcode = \"text\" }") + rule("name = \"x\"")), "rule 'x' is defined twice");
  bad(with(rule("name = \"fallback\"")), "rule 'fallback' is defined twice");
  std::string many;
  for (int i = 0; i < 65; ++i) many += rule("match = { opcode = \"text\" }");
  bad(with(many), "more than 64 rules");
}

TEST_F(Messages, HaveKeysOnlyWhereTheyAreBalanced) {
  bad(with("", "{ policy = \"consistent_hash\", key = \"json:/room\" }"), "a key in messages needs unit = \"message\"");
  for (const std::string key : {"json", "json:", "json:room", "json:/~"}) {
    bad(with("", "{ unit = \"message\", policy = \"consistent_hash\", key = \"" + key + "\" }"),
        "'key' has the unknown value \"" + key + "\"");
  }
}

}  // namespace
}  // namespace sluice::config
