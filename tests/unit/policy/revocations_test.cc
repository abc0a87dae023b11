#include "policy/revocations.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;
using Kind = Revocation::Kind;

constexpr std::int64_t kMade = 1'800'000'000;  // seconds since 1970
const WallTime kNow{std::chrono::seconds(kMade)};

Identity identity(const std::string& claims, const std::string& subject = "ann") {
  Identity out;
  out.method = "jwt";
  out.subject = subject;
  out.claims = *Json::parse(claims);
  return out;
}

Revocation revocation(Kind kind, const std::string& value, const std::string& name = "") {
  static int number = 0;
  Revocation out;
  out.id = "r" + std::to_string(++number);
  out.kind = kind;
  out.name = name;
  out.value = value;
  out.made = kNow;
  out.expires = kNow + 10min;
  return out;
}

net::Address address(const std::string& ip) { return *net::Address::parse(ip, 4711); }

TEST(Revocations, FindAnIdentityByWhateverItIsNamedBy) {
  const Identity who = identity(
      R"({"sub":"ann","jti":"t1","sid":"s1","iss":"https://id/","iat":1799999000,"tenant":7,"staff":true,
          "roles":["admin","ops"],"email":"a@b","deep":{"x":"y"},"none":null})");
  const std::pair<Revocation, bool> all[] = {
      {revocation(Kind::sub, "ann"), true},
      {revocation(Kind::sub, "anna"), false},
      {revocation(Kind::sub, "t1"), false},
      {revocation(Kind::jti, "t1"), true},
      {revocation(Kind::jti, "t2"), false},
      {revocation(Kind::sid, "s1"), true},
      {revocation(Kind::claim, "7", "tenant"), true},
      {revocation(Kind::claim, "70", "tenant"), false},
      {revocation(Kind::claim, "true", "staff"), true},
      {revocation(Kind::claim, "ops", "roles"), true},
      {revocation(Kind::claim, "admin ops", "roles"), false},
      {revocation(Kind::claim, "ops", "role"), false},
      {revocation(Kind::claim, "ann", "sub"), true},
      {revocation(Kind::claim, "t1", "jti"), true},
      {revocation(Kind::claim, "a@b", "email"), true},
      {revocation(Kind::claim, "y", "deep"), false},
      {revocation(Kind::claim, "1799999000", "iat"), false},
      {revocation(Kind::ip, "192.0.2.7"), false},
  };
  for (const auto& [what, hit] : all) {
    Revocations table;
    ASSERT_TRUE(table.add(what));
    EXPECT_EQ(table.refuses(who, "users", kNow), hit) << what.kind_name() << " " << what.name << " " << what.value;
  }
}

TEST(Revocations, ASubjectNeedsNoClaim) {
  Revocations table;
  ASSERT_TRUE(table.add(revocation(Kind::sub, "robot")));
  EXPECT_TRUE(table.refuses(identity("{}", "robot"), "keys", kNow));
  EXPECT_FALSE(table.refuses(identity("{}", ""), "keys", kNow));
}

TEST(Revocations, MayBeAboutOneAuthOrIssuer) {
  Revocations table;
  Revocation what = revocation(Kind::sub, "ann");
  what.auth = "users";
  what.issuer = "https://a/";
  ASSERT_TRUE(table.add(what));
  const Identity a = identity(R"({"sub":"ann","iss":"https://a/"})");
  EXPECT_TRUE(table.refuses(a, "users", kNow));
  EXPECT_FALSE(table.refuses(a, "machines", kNow));
  EXPECT_FALSE(table.refuses(identity(R"({"sub":"ann","iss":"https://b/"})"), "users", kNow));
  EXPECT_FALSE(table.refuses(identity(R"({"sub":"ann"})"), "users", kNow));
}

TEST(Revocations, SpareNewerCredentialsOnlyWhenTold) {
  const auto issued = [](std::int64_t when) { return identity(R"({"sub":"ann","iat":)" + std::to_string(when) + "}"); };
  for (const bool allow : {false, true}) {
    Revocations table;
    Revocation what = revocation(Kind::sub, "ann");
    what.allow_newer = allow;
    what.made += 1ms;
    ASSERT_TRUE(table.add(what));
    EXPECT_TRUE(table.refuses(issued(kMade - 1), "users", kNow));
    EXPECT_TRUE(table.refuses(issued(kMade), "users", kNow)) << "the same second may be before it";
    EXPECT_EQ(table.refuses(issued(kMade + 1), "users", kNow), !allow);
    EXPECT_TRUE(table.refuses(identity(R"({"sub":"ann"})"), "users", kNow)) << "it does not say when it was issued";
    EXPECT_TRUE(table.refuses(identity(R"({"sub":"ann","iat":"9999999999"})"), "users", kNow));
  }
}

TEST(Revocations, AreAboutAddressesAndBlocks) {
  Revocations table;
  ASSERT_TRUE(table.add(revocation(Kind::ip, "192.0.2.7")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "10.1.0.0/16")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "2001:db8::/32")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "2001:db9::1")));
  for (const char* in : {"192.0.2.7", "::ffff:192.0.2.7", "10.1.255.255", "2001:db8::5", "2001:db9::1"}) {
    EXPECT_TRUE(table.refuses(address(in), kNow)) << in;
  }
  for (const char* out : {"192.0.2.8", "10.2.0.0", "2001:db9::2", "::1"}) EXPECT_FALSE(table.refuses(address(out), kNow)) << out;
  EXPECT_FALSE(table.refuses(net::Address(), kNow));
  EXPECT_FALSE(table.refuses(identity(R"({"sub":"192.0.2.7"})", "192.0.2.7"), "users", kNow));
}

TEST(Revocations, EndWithTheirTime) {
  Revocations table;
  ASSERT_TRUE(table.add(revocation(Kind::sub, "ann")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "192.0.2.0/24")));
  Revocation later = revocation(Kind::sub, "bob");
  later.expires = kNow + 20min;
  ASSERT_TRUE(table.add(later));
  const Identity ann = identity("{}");
  EXPECT_TRUE(table.refuses(ann, "users", kNow + 10min - 1ms));
  EXPECT_FALSE(table.refuses(ann, "users", kNow + 10min)) << "whether or not somebody has cleared up";
  EXPECT_FALSE(table.refuses(address("192.0.2.1"), kNow + 10min));
  EXPECT_EQ(table.size(), 3u);
  table.expire(kNow + 10min);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_TRUE(table.refuses(identity("{}", "bob"), "users", kNow + 10min));
  table.expire(kNow + 20min);
  EXPECT_EQ(table.size(), 0u);
}

TEST(Revocations, SayingItAgainRenewsTheEntry) {
  Revocations table;
  const Revocation first = revocation(Kind::sub, "ann");
  ASSERT_TRUE(table.add(first));
  Revocation shorter = revocation(Kind::sub, "ann");
  shorter.made = kNow + 1min;
  shorter.expires = kNow + 2min;
  shorter.reason = "again";
  const Revocation* const entry = table.add(shorter);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->id, first.id);
  EXPECT_EQ(entry->made, shorter.made);
  EXPECT_EQ(entry->expires, first.expires) << "what is in force is never shortened by saying more";
  EXPECT_EQ(entry->reason, "again");
  EXPECT_EQ(table.size(), 1u);

  Revocation newer = revocation(Kind::sub, "ann");
  newer.allow_newer = true;
  ASSERT_TRUE(table.add(newer));
  EXPECT_EQ(table.size(), 2u) << "a logout does not soften a ban";
  EXPECT_TRUE(table.refuses(identity(R"({"sub":"ann","iat":1900000000})"), "users", kNow));

  ASSERT_TRUE(table.add(revocation(Kind::ip, "10.0.0.0/8")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "10.0.0.0/8")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "192.0.2.7")));
  ASSERT_TRUE(table.add(revocation(Kind::ip, "192.0.2.7/32")));
  EXPECT_EQ(table.size(), 4u);
}

TEST(Revocations, MayBeTakenBack) {
  Revocations table;
  const Revocation* const sub = table.add(revocation(Kind::sub, "ann"));
  const std::string sub_id = sub->id;
  const std::string block_id = table.add(revocation(Kind::ip, "10.0.0.0/8"))->id;
  ASSERT_TRUE(table.add(revocation(Kind::jti, "t1")));
  EXPECT_EQ(table.find(sub_id)->value, "ann");
  EXPECT_TRUE(table.remove(sub_id));
  EXPECT_FALSE(table.remove(sub_id));
  EXPECT_FALSE(table.find(sub_id));
  EXPECT_FALSE(table.refuses(identity("{}"), "users", kNow));
  EXPECT_TRUE(table.remove(block_id));
  EXPECT_FALSE(table.refuses(address("10.0.0.1"), kNow));
  EXPECT_TRUE(table.refuses(identity(R"({"jti":"t1"})"), "users", kNow));
  EXPECT_EQ(table.size(), 1u);
}

TEST(Revocations, AreBounded) {
  Revocations table;
  table.set_most(3);
  for (const char* who : {"a", "b", "c"}) ASSERT_TRUE(table.add(revocation(Kind::sub, who)));
  EXPECT_FALSE(table.add(revocation(Kind::sub, "d")));
  EXPECT_TRUE(table.add(revocation(Kind::sub, "c"))) << "one that is there needs no room";
  EXPECT_FALSE(table.refuses(identity("{}", "d"), "users", kNow));

  Revocations blocks;
  for (std::size_t i = 0; i < Revocations::kMostBlocks; ++i) {
    ASSERT_TRUE(blocks.add(revocation(Kind::ip, "10." + std::to_string(i) + ".0.0/16")));
  }
  EXPECT_FALSE(blocks.add(revocation(Kind::ip, "11.0.0.0/16")));
  EXPECT_TRUE(blocks.add(revocation(Kind::ip, "11.0.0.1"))) << "single addresses are found at once";
}

TEST(Revocations, AreListedFromTheLastToEnd) {
  Revocations table;
  for (int minutes : {3, 1, 2}) {
    Revocation what = revocation(Kind::sub, "m" + std::to_string(minutes));
    what.expires = kNow + std::chrono::minutes(minutes);
    ASSERT_TRUE(table.add(what));
  }
  const auto listed = table.list(2);
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0]->value, "m3");
  EXPECT_EQ(listed[1]->value, "m2");
}

// For the thread sanitizer: readers on other threads while main writes.
TEST(Revocations, AreReadWhileTheyAreWritten) {
  Revocations table;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> refused{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      const Identity who = identity(R"({"sub":"ann","jti":"t1"})");
      while (!stop) {
        if (table.refuses(who, "users", kNow)) ++refused;
        if (table.refuses(address("192.0.2.7"), kNow)) ++refused;
      }
    });
  }
  ASSERT_TRUE(table.add(revocation(Kind::jti, "t1")));
  for (int i = 0; i < 300; ++i) {
    const std::string sub = table.add(revocation(Kind::sub, "u" + std::to_string(i)))->id;
    const std::string ip = table.add(revocation(Kind::ip, "192.0.2." + std::to_string(i % 256)))->id;
    table.remove(sub);
    table.remove(ip);
  }
  while (refused == 0) std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace sluice::policy
