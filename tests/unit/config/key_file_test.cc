#include "config/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hex.h"
#include "loading.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kDigest(64, 'a');

std::string entry(const std::string& rest, const std::string& name = "billing") {
  return "[[key]]\nname = \"" + name + "\"\n" + rest;
}

struct Read {
  std::vector<policy::ApiKey> keys;
  std::string faults;
};

Read read(const std::string& text) {
  Reporter reporter;
  Read out;
  out.keys = read_key_file(reporter.add_source("keys.toml", text), reporter, [](const Text&) { return true; });
  for (const Diagnostic& one : reporter.take()) out.faults += one.text();
  return out;
}

std::string whole(const std::string& claims = {}) {
  return entry("prefix = \"0123456789abcdef\"\nsha256 = \"" + kDigest + "\"\n" + claims);
}

TEST(KeyFile, GivesItsEntries) {
  const Read got = read(whole("claims = { team = \"blue\", level = 7, admin = true, roles = [\"a\", \"b\"] }\n"
                              "expires = 2027-01-01T02:00:00+02:00\n") +
                        entry("sha256 = \"" + std::string(64, 'B') + "\"\ndisabled = true\n", "legacy"));
  EXPECT_EQ(got.faults, "");
  ASSERT_EQ(got.keys.size(), 2u);
  const policy::ApiKey& first = got.keys[0];
  EXPECT_EQ(first.name, "billing");
  EXPECT_EQ(to_hex(first.prefix), "0123456789abcdef");
  EXPECT_EQ(to_hex(first.digest), kDigest);
  EXPECT_FALSE(first.disabled);
  ASSERT_TRUE(first.expires);
  EXPECT_EQ(*first.expires, WallTime(std::chrono::sys_days(std::chrono::January / 1 / 2027)));
  EXPECT_EQ(first.claims.members().size(), 5u);
  EXPECT_EQ(first.claims.find("sub")->text(), "billing");
  EXPECT_EQ(first.claims.find("team")->text(), "blue");
  EXPECT_EQ(first.claims.find("level")->integer(), 7);
  EXPECT_TRUE(first.claims.find("admin")->boolean());
  EXPECT_EQ(first.claims.find("roles")->items().size(), 2u);
  EXPECT_EQ(to_hex(got.keys[1].prefix), std::string(16, 'b')) << "a key that was made elsewhere is found by its digest";
  EXPECT_TRUE(got.keys[1].disabled);
  EXPECT_FALSE(got.keys[1].expires);
}

TEST(KeyFile, GivesTheLimitsOfAName) {
  const Read got = read(whole("rate_limit = [\"gold\", \"talk\"]\n") +
                        entry("sha256 = \"" + std::string(64, 'b') + "\"\nrate_limit = [\"gold\", \"talk\"]\n") +
                        entry("sha256 = \"" + std::string(64, 'c') + "\"\n", "other"));
  EXPECT_EQ(got.faults, "");
  const policy::ApiKeys keys(got.keys);
  ASSERT_NE(keys.limits_of("billing"), nullptr);
  EXPECT_THAT(*keys.limits_of("billing"), ::testing::ElementsAre("gold", "talk"));
  EXPECT_EQ(keys.limits_of("other"), nullptr);
  EXPECT_EQ(keys.limits_of("nobody"), nullptr);
}

TEST(KeyFile, MayHoldNoKeyAtAll) {
  const Read got = read("# all of them were withdrawn\n");
  EXPECT_EQ(got.faults, "");
  EXPECT_TRUE(got.keys.empty());
}

TEST(KeyFile, SaysEveryFaultAtItsPlace) {
  const std::pair<std::string, const char*> rows[] = {
      {"[[key]\n", "keys.toml:1:7: error: not TOML"},
      {"[[keys]]\n", "keys.toml:1:3: error: unknown key 'keys' in top level\n"},
      {"key = 1\n", "keys.toml:1:7: error: 'key' must be a list of tables"},
      {"[[key]]\nsha256 = \"" + kDigest + "\"\n", "keys.toml:1:1: error: [[key]] needs 'name'"},
      {entry(""), "keys.toml:1:1: error: [[key]] needs 'sha256'"},
      {entry("sha256 = \"" + kDigest + "\"\n", "two words"), "keys.toml:2:8: error: 'name' = \"two words\" is no name"},
      {entry("sha256 = \"abc\"\n"), "keys.toml:3:10: error: 'sha256' must be 64 hexadecimal digits"},
      {entry("sha256 = \"" + std::string(64, 'g') + "\"\n"), "keys.toml:3:10: error: 'sha256' must be 64"},
      {entry("sha256 = \"" + kDigest + "\"\nprefix = \"0123\"\n"), "keys.toml:4:10: error: 'prefix' must be 16"},
      {whole("expires = 2027-01-01\n"), "keys.toml:5:11: error: 'expires' must be a date, a time and an offset"},
      {whole("expires = 2027-01-01T00:00:00\n"), "keys.toml:5:11: error: 'expires' must be a date, a time and an offset"},
      {whole("expires = \"2027-01-01T00:00:00Z\"\n"), "keys.toml:5:11: error: 'expires' must be a date, a time and an offset"},
      {whole("disabled = 1\n"), "keys.toml:5:12: error: 'disabled' must be true or false"},
      {whole("claims = \"admin\"\n"), "keys.toml:5:10: error: 'claims' must be a table"},
      {whole("claims = { sub = \"root\" }\n"), "keys.toml:5:12: error: the claim 'sub' is the name of the key"},
      {whole("claims = { a = 1.5 }\n"), "keys.toml:5:16: error: claim 'a' must be a string, an integer"},
      {whole("claims = { a = { b = 1 } }\n"), "keys.toml:5:16: error: claim 'a' must be a string"},
      {whole("claims = { a = [[1]] }\n"), "keys.toml:5:16: error: claim 'a' must be a string"},
      {whole("claims = { a = 2027-01-01T00:00:00Z }\n"), "keys.toml:5:16: error: claim 'a' must be a string"},
      {whole("claims = { a = \"" + std::string(9000, 'x') + "\" }\n"), "keys.toml:5:10: error: 'claims' are more than"},
      {whole("scope = \"x\"\n"), "keys.toml:5:1: error: unknown key 'scope' in [[key]]"},
      {whole() + whole(), "keys.toml:7:10: error: this key is listed twice\n"},
      {whole("rate_limit = [\"a\", \"a\"]\n"), "keys.toml:5:20: error: 'rate_limit' names 'a' twice"},
      {whole("rate_limit = [\"a\"]\n") + entry("sha256 = \"" + std::string(64, 'b') + "\"\nrate_limit = [\"b\"]\n"),
       "keys.toml:9:14: error: 'billing' has other limits in line 1"},
      {whole("rate_limit = [\"a\"]\n") + entry("sha256 = \"" + std::string(64, 'b') + "\"\n"),
       "keys.toml:7:8: error: 'billing' has other limits in line 1"},
      {entry("sha256 = \"" + kDigest + "\"\n") + entry("sha256 = \"" + kDigest + "\"\n"),
       "keys.toml:6:10: error: this key is listed twice"},
  };
  for (const auto& [text, expected] : rows) {
    const Read got = read(text);
    EXPECT_THAT(got.faults, HasSubstr(expected)) << text;
    EXPECT_THAT(got.faults.substr(1), Not(HasSubstr("\nkeys.toml"))) << "one fault: " << text;
  }
}

TEST(KeyFile, FindsAllFaultsInOneRun) {
  const Read got = read(entry("") + whole("expires = 1\n") + entry("sha256 = \"x\"\n"));
  EXPECT_THAT(got.faults, HasSubstr("keys.toml:1:1: "));
  EXPECT_THAT(got.faults, HasSubstr("keys.toml:7:11: "));
  EXPECT_THAT(got.faults, HasSubstr("keys.toml:10:10: "));
  EXPECT_TRUE(got.keys.empty());
}

TEST(KeyFile, RepeatsNoKeyThatWasPastedIntoIt) {
  const std::string key = "sk_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
  for (const std::string& text :
       {entry("sha256 = \"" + key + "\"\n"), entry("sha256 = \"" + kDigest + "\"\nprefix = \"" + key + "\"\n"),
        entry("sha256 = \"" + kDigest + "\"\nkey = \"" + key + "\"\n"), entry("sha256 = \"" + kDigest + "\"\n", key),
        entry("sha256 = " + key + "\n")}) {
    const Read got = read(text);
    EXPECT_NE(got.faults, "");
    EXPECT_EQ(got.faults.find(key.substr(20)), std::string::npos) << got.faults;
  }
}

// ---- as the configuration names it

std::string with_keys(const std::string& auth) {
  return "[[listener]]\nbind = \"127.0.0.1:8080\"\n[[route]]\npath = \"/*\"\nbackend = \"app\"\nauth = \"machines\"\n"
         "[backend.app]\nservers = [\"ws://127.0.0.1:9000\"]\n[auth.machines]\n" + auth;
}

TEST(KeyFile, IsReadAndWatchedWithTheConfiguration) {
  const Folder folder;
  folder.write("keys.toml", whole());
  const Loaded loaded = load(folder.write("sluice.toml", with_keys("type = \"api_key\"\nkeys_file = \"keys.toml\"\n")));
  EXPECT_EQ(text_of(loaded), "");
  ASSERT_EQ(loaded.settings.auths.size(), 1u);
  const policy::AuthSettings& auth = loaded.settings.auths[0];
  EXPECT_EQ(auth.type, policy::AuthSettings::Type::api_key);
  EXPECT_EQ(auth.keys->size(), 1u);
  ASSERT_EQ(auth.from.size(), 1u);
  EXPECT_EQ(auth.from[0], (policy::Carrier{policy::Carrier::Kind::header, "X-API-Key"}));
  EXPECT_EQ(auth.failures, (policy::FailureLimit{10, std::chrono::minutes(1)}));
  EXPECT_THAT(loaded.settings.watched, ::testing::Contains(folder.path("keys.toml")));
}

TEST(KeyFile, NamesLimitsOfTheConfiguration) {
  const Folder folder;
  const std::string limits = "[rate_limit.gold]\nkey = \"claim:sub\"\nunit = \"connections\"\nlimit = 5\n"
                             "[rate_limit.address]\nkey = \"ip\"\nunit = \"connections\"\nlimit = 5\n";
  const auto faults = [&](const std::string& names) {
    folder.write("keys.toml", whole("rate_limit = [" + names + "]\n"));
    return text_of(load(folder.write("sluice.toml", with_keys("type = \"api_key\"\nkeys_file = \"keys.toml\"\n") + limits)));
  };
  EXPECT_THAT(faults("\"gold\""), Not(HasSubstr("error"))) << "and it is used";
  EXPECT_THAT(faults("\"gold\""), Not(HasSubstr("'gold' is not used")));
  EXPECT_THAT(faults("\"golden\""), HasSubstr("keys.toml:5:15: error: a key refers to rate_limit 'golden' which is not defined"));
  EXPECT_THAT(faults("\"address\""), HasSubstr("keys.toml:5:15: error: limit 'address' does not count by a claim"));
}

TEST(KeyFile, HasFaultsOfItsOwnName) {
  const Folder folder;
  folder.write("keys.toml", "\n[[key]]\nname = \"a\"\nsha256 = \"b\"\n");
  const Loaded loaded = load(folder.write("sluice.toml", with_keys("type = \"api_key\"\nkeys_file = \"keys.toml\"\n")));
  EXPECT_FALSE(loaded.ok());
  EXPECT_THAT(text_of(loaded), HasSubstr(folder.path("keys.toml") + ":4:10: error: 'sha256' must be 64 hexadecimal digits"));
}

TEST(KeyFile, MustNotBeWritableByEveryone) {
  const Folder folder;
  folder.write("keys.toml", whole(), 0646);
  const std::string config = folder.write("sluice.toml", with_keys("type = \"api_key\"\nkeys_file = \"keys.toml\"\n"));
  EXPECT_THAT(text_of(load(config)), HasSubstr("can be written by everyone"));
  folder.write("keys.toml", whole(), 0644);
  EXPECT_EQ(text_of(load(config)), "") << "it holds digests, which anybody may read";
}

TEST(KeyFile, BelongsToAnAuthOfItsType) {
  const Folder folder;
  folder.write("keys.toml", whole());
  folder.write_credentials();
  const std::pair<const char*, const char*> rows[] = {
      {"type = \"api_key\"\n", "error: [auth.machines] needs 'keys_file'"},
      {"type = \"api_key\"\nkeys_file = \"none.toml\"\n", "error: 'keys_file': cannot read"},
      {"type = \"api_key\"\nkeys_file = \"keys.toml\"\nalgorithms = [\"HS256\"]\n", "error: 'algorithms' is for type = \"jwt\""},
      {"type = \"api_key\"\nkeys_file = \"keys.toml\"\nleeway = \"1s\"\n", "error: 'leeway' is for type = \"jwt\""},
      {"type = \"api_key\"\nkeys_file = \"keys.toml\"\njwks_url = \"https://id.example.com/keys\"\n",
       "error: 'jwks_url' is for type = \"jwt\""},
      {"type = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\nkeys_file = \"keys.toml\"\n",
       "error: 'keys_file' is for type = \"api_key\""},
      {"type = \"api_key\"\nkeys_file = \"keys.toml\"\nfailures = \"10KiB/m\"\n", "error: 'failures' counts no bytes"},
      {"type = \"api_key\"\nkeys_file = \"keys.toml\"\nfailures = \"0/m\"\n", "error: 'failures' must be from 1 to 1000000"},
  };
  for (const auto& [auth, expected] : rows) {
    EXPECT_THAT(text_of(load(folder.write("sluice.toml", with_keys(auth)))), HasSubstr(expected)) << auth;
  }
}

TEST(KeyFile, CountsFailuresAsTheAuthSays) {
  const Folder folder;
  folder.write("keys.toml", whole());
  folder.write_credentials();
  const auto failures = [&](const std::string& auth) {
    const Loaded loaded = load(folder.write("sluice.toml", with_keys(auth)));
    EXPECT_EQ(text_of(loaded), "");
    return loaded.settings.auths.at(0).failures;
  };
  const std::string keys = "type = \"api_key\"\nkeys_file = \"keys.toml\"\n";
  const std::string tokens = "type = \"jwt\"\nalgorithms = [\"HS256\"]\nsecret_file = \"hs256.secret\"\n";
  EXPECT_EQ(failures(keys + "failures = \"3/h\"\n"), (policy::FailureLimit{3, std::chrono::hours(1)}));
  EXPECT_EQ(failures(keys + "failures = \"off\"\n").count, 0u);
  EXPECT_EQ(failures(tokens).count, 0u);
  EXPECT_EQ(failures(tokens + "failures = \"100/m\"\n"), (policy::FailureLimit{100, std::chrono::minutes(1)}));
}

}  // namespace
}  // namespace sluice::config
