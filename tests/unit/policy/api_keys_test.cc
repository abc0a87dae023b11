#include "policy/api_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/hex.h"

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kText = "sk_0123456789abcdef_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
constexpr std::string_view kForeign = "an-older-gateway-made-this-key-in-2019";

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

ApiKey entry(std::string name, std::string_view text) {
  ApiKey key;
  key.digest = net::sha256(as_bytes(text));
  key.prefix = ApiKeys::prefix_of(text).value_or(ApiKeys::found_by(key.digest));
  key.claims = *Json::parse(R"({"sub":")" + name + R"(","team":"blue"})");
  key.name = std::move(name);
  return key;
}

ApiKeys one(const ApiKey& key) { return ApiKeys({key}); }

Error refusal(const ApiKeys& keys, std::string_view text, WallTime now = at(1000)) {
  const auto identity = keys.verify(text, now);
  EXPECT_FALSE(identity) << text;
  return identity ? Error{} : identity.error();
}

TEST(ApiKeys, SayWhoHoldsAKey) {
  const ApiKeys keys({entry("billing", kText), entry("legacy", kForeign)});
  EXPECT_EQ(keys.size(), 2u);
  const auto identity = keys.verify(kText, at(1000));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->method, "api_key");
  EXPECT_EQ(identity->subject, "billing");
  EXPECT_FALSE(identity->expires);
  bool bad = false;
  EXPECT_EQ(identity->claim_text("team", bad), "blue");
  EXPECT_EQ(identity->claim_text("sub", bad), "billing");

  const auto other = keys.verify(kForeign, at(1000));
  ASSERT_TRUE(other);
  EXPECT_EQ(other->subject, "legacy");
}

TEST(ApiKeys, RefuseUnknownAndWrongOnesAlike) {
  const ApiKeys keys({entry("billing", kText), entry("legacy", kForeign)});
  std::string wrong(kText);
  wrong.back() = '9';
  std::string unknown(kText);
  unknown[3] = 'f';
  const Error expected = refusal(keys, wrong);
  EXPECT_EQ(expected.code, Errc::bad_token);
  for (const std::string& text :
       {unknown, std::string(), std::string("sk_"), std::string("sk_0123456789abcdef"), std::string("sk_0123456789abcdef_"),
        std::string(kText) + "A", std::string(kText.substr(0, kText.size() - 1)), " " + std::string(kText),
        std::string(kText) + "\n", std::string(kForeign) + "x", "sk_0123456789ABCDEF" + std::string(kText.substr(19)),
        std::string(ApiKeys::kMaxText, 'x'), std::string(ApiKeys::kMaxText + 1, 'x')}) {
    const Error error = refusal(keys, text);
    EXPECT_EQ(error.code, expected.code) << text.substr(0, 80);
    EXPECT_EQ(error.side, Side::client);
  }
  // What is in the file opens nothing.
  EXPECT_EQ(refusal(keys, to_hex(net::sha256(as_bytes(kText)))).code, Errc::bad_token);
}

TEST(ApiKeys, RefuseEveryKeyWithOneOctetChanged) {
  const ApiKeys keys({entry("billing", kText)});
  for (std::size_t i = 0; i < kText.size(); ++i) {
    for (const char flip : {1, 0x20}) {
      std::string text(kText);
      text[i] = static_cast<char>(text[i] ^ flip);
      EXPECT_FALSE(keys.verify(text, at(0))) << text;
    }
  }
}

TEST(ApiKeys, AreNobodysWithoutAnEntry) {
  const ApiKeys none({});
  EXPECT_EQ(refusal(none, kText).code, Errc::bad_token);
  EXPECT_EQ(refusal(none, "").code, Errc::bad_token);
}

TEST(ApiKeys, ExpireWithTheirDate) {
  ApiKey key = entry("billing", kText);
  key.expires = at(1000);
  const ApiKeys keys = one(key);
  const auto identity = keys.verify(kText, at(1000) - 1ms);
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->expires);
  EXPECT_EQ(identity->expiry, at(1000));
  EXPECT_EQ(refusal(keys, kText, at(1000)).code, Errc::token_expired);
  EXPECT_EQ(refusal(keys, kText, at(2000)).code, Errc::token_expired);
  std::string wrong(kText);
  wrong.back() = '9';
  EXPECT_EQ(refusal(keys, wrong, at(2000)).code, Errc::bad_token) << "who does not hold the key learns nothing of it";
}

TEST(ApiKeys, LetNobodyInWhenDisabled) {
  ApiKey key = entry("billing", kText);
  key.disabled = true;
  EXPECT_EQ(refusal(one(key), kText).code, Errc::bad_token);
}

TEST(ApiKeys, MayShareANameWhileOneIsExchanged) {
  const std::string next(ApiKeys::make().reveal());
  const ApiKeys keys({entry("billing", kText), entry("billing", next)});
  EXPECT_EQ(keys.verify(kText, at(0))->subject, "billing");
  EXPECT_EQ(keys.verify(next, at(0))->subject, "billing");
}

TEST(ApiKeys, AreMadeInTheirForm) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const Secret key = ApiKeys::make();
    const std::string text(key.reveal());
    ASSERT_EQ(text.size(), kText.size());
    ASSERT_TRUE(ApiKeys::prefix_of(text)) << text;
    EXPECT_EQ(to_hex(*ApiKeys::prefix_of(text)), text.substr(3, 16));
    EXPECT_EQ(net::from_base64url(text.substr(20))->size(), 32u);
    EXPECT_TRUE(seen.insert(text.substr(3, 16)).second);
    EXPECT_TRUE(one(entry("made", text)).verify(text, at(0)));
  }
}

TEST(ApiKeys, HaveAPrefixOnlyInThatForm) {
  EXPECT_EQ(to_hex(*ApiKeys::prefix_of(kText)), "0123456789abcdef");
  std::string other(kText);
  other[19] = '-';
  EXPECT_FALSE(ApiKeys::prefix_of(other));
  other = kText;
  other[0] = 'S';
  EXPECT_FALSE(ApiKeys::prefix_of(other));
  other = kText;
  other[10] = 'g';
  EXPECT_FALSE(ApiKeys::prefix_of(other));
  EXPECT_FALSE(ApiKeys::prefix_of(kForeign));
  EXPECT_FALSE(ApiKeys::parse_prefix("0123456789abcde"));
  EXPECT_FALSE(ApiKeys::parse_prefix("0123456789abcdef00"));
  EXPECT_FALSE(ApiKeys::parse_prefix(""));
}

TEST(ApiKeys, BelongToNamesThatStandAnywhereAsTheyAre) {
  for (const char* name : {"billing", "billing/eu-1", "a", "team:blue@example.com"}) EXPECT_TRUE(ApiKeys::is_name(name)) << name;
  EXPECT_TRUE(ApiKeys::is_name(std::string(128, 'n')));
  for (const char* name : {"", "two words", "a\"b", "a\\b", "a\nb", "caf\xc3\xa9", "a\x7f"}) EXPECT_FALSE(ApiKeys::is_name(name)) << name;
  EXPECT_FALSE(ApiKeys::is_name(std::string(129, 'n')));
}

// The two answers differ in nothing that a clock could see. Medians of many short batches, in turn, so that what the
// machine does besides hits both.
TEST(ApiKeys, TakeAsLongForAWrongKeyAsForAnUnknownOne) {
  std::vector<ApiKey> all;
  for (int i = 0; i < 1000; ++i) all.push_back(entry("k" + std::to_string(i), ApiKeys::make().reveal()));
  all.push_back(entry("billing", kText));
  const ApiKeys keys(std::move(all));
  std::string wrong(kText);
  wrong.back() = '9';
  std::string unknown(wrong);
  unknown[3] = 'f';
  std::vector<std::int64_t> times[2];
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string& text = i % 2 == 0 ? wrong : unknown;
    const auto began = std::chrono::steady_clock::now();
    refused += !keys.verify(text, at(0));
    times[i % 2].push_back(std::chrono::nanoseconds(std::chrono::steady_clock::now() - began).count());
  }
  EXPECT_EQ(refused, 20'000u);
  for (auto& one : times) std::nth_element(one.begin(), one.begin() + one.size() / 2, one.end());
  EXPECT_LT(std::abs(times[0][times[0].size() / 2] - times[1][times[1].size() / 2]), 1000);
}

}  // namespace
}  // namespace sluice::policy
