#include "base/error.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice {
namespace {

TEST(ErrorTable, GivesEachErrorItsOwnName) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const std::string_view name = row(static_cast<Errc>(i)).name;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string_view::npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_EQ(names.size(), kErrcCount);
  EXPECT_EQ(row(Errc::too_big).name, "too_big");
}

TEST(ErrorTable, GivesOnlyStatusesThatHaveAPhrase) {
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const ErrorRow& r = row(static_cast<Errc>(i));
    if (r.status == 0) {
      EXPECT_TRUE(r.stage == Stage::tls || r.stage == Stage::proxy_hdr) << r.name << ": only before HTTP there is nothing to answer";
      continue;
    }
    EXPECT_GE(r.status, 400) << r.name;
    EXPECT_LT(r.status, 600) << r.name;
    EXPECT_NE(reason_phrase(r.status), "") << r.name;
  }
}

TEST(ErrorTable, GivesOnlyCloseCodesThatMayBeSent) {
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const ErrorRow& r = row(static_cast<Errc>(i));
    if (r.close_code == 0) continue;
    // RFC 6455 §7.4: 1005, 1006 and 1015 are never sent; 4000-4999 are private.
    const std::set<int> allowed{1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013};
    EXPECT_TRUE(allowed.contains(r.close_code) || (r.close_code >= 4000 && r.close_code < 5000)) << r.name;
  }
}

TEST(ErrorTable, BlamesTheServerFor5xxAndTheClientFor4xx) {
  const std::set<Stage> ours{Stage::backend, Stage::overload, Stage::drain};
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const ErrorRow& r = row(static_cast<Errc>(i));
    if (ours.contains(r.stage)) {
      EXPECT_GE(r.status, 500) << r.name;
    }
    if (r.stage == Stage::ratelimit) {
      EXPECT_EQ(r.status, 429) << r.name;
    }
    if (r.stage == Stage::ws || r.stage == Stage::origin) {
      EXPECT_LT(r.status, 500) << r.name;
    }
  }
}

TEST(ErrorTable, RetriesOnlyWhatAnotherBackendMayDoBetter) {
  for (std::size_t i = 0; i < kErrcCount; ++i) {
    const ErrorRow& r = row(static_cast<Errc>(i));
    if (r.retry) {
      EXPECT_EQ(r.stage, Stage::backend) << r.name;
    }
  }
  EXPECT_TRUE((Error{Errc::be_connect}).retryable());
  EXPECT_FALSE((Error{Errc::no_token}).retryable());
  EXPECT_TRUE((Error{.code = Errc::be_bad_head, .retry = true}).retryable());
}

TEST(ErrorTable, NamesEveryStageSideAndLevel) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(Stage::admin); ++i) {
    EXPECT_TRUE(names.insert(name(static_cast<Stage>(i))).second);
  }
  EXPECT_EQ(name(Stage::proxy_hdr), "proxy_hdr");
  EXPECT_EQ(name(Stage::admin), "admin");
  EXPECT_EQ(name(Side::gateway), "gateway");
  EXPECT_EQ(name(Level::off), "off");
}

}  // namespace
}  // namespace sluice
