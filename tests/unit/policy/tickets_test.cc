#include "policy/tickets.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace sluice::policy {
namespace {

using namespace std::chrono_literals;

TicketStore::Key key(std::string_view ticket) { return net::sha256(as_bytes(ticket)); }

struct Table {
  explicit Table(std::size_t most = 4, std::size_t octets = 100) : tickets(most, octets) {}
  Tickets tickets;
  Instant now{};

  bool put(std::string_view ticket, std::string record, Duration ttl = 30s) {
    Result<void> result;
    EXPECT_EQ(tickets.put(key(ticket), std::move(record), ttl, now, [&](Result<void> kept) { result = kept; }), nullptr);
    if (!result) {
      EXPECT_EQ(result.error().code, Errc::auth_unavailable);
    }
    return result.has_value();
  }
  std::string take(std::string_view ticket) {
    std::string text = "-";
    EXPECT_EQ(tickets.take(key(ticket), now, [&](auto taken) { text = taken.value().value_or("none"); }), nullptr);
    return text;
  }
};

TEST(Tickets, OneIsTakenOnce) {
  Table table;
  EXPECT_TRUE(table.put("a", "anna"));
  EXPECT_EQ(table.take("b"), "none");
  EXPECT_EQ(table.take("a"), "anna");
  EXPECT_EQ(table.take("a"), "none");
  EXPECT_EQ(table.tickets.size(), 0U);
}

TEST(Tickets, OneThatIsLateIsNone) {
  Table table;
  EXPECT_TRUE(table.put("a", "anna", 10s));
  EXPECT_TRUE(table.put("b", "ben", 10s));
  table.now += 10s - 1ns;
  EXPECT_EQ(table.take("a"), "anna");
  table.now += 1ns;
  EXPECT_EQ(table.take("b"), "none");
  EXPECT_EQ(table.tickets.size(), 0U);
}

TEST(Tickets, AFullTableTakesNoneUntilOneIsUsedOrLate) {
  Table table(2);
  EXPECT_TRUE(table.put("a", "anna", 10s));
  EXPECT_TRUE(table.put("b", "ben", 20s));
  EXPECT_FALSE(table.put("c", "carl"));
  EXPECT_EQ(table.take("b"), "ben");
  EXPECT_TRUE(table.put("c", "carl"));
  EXPECT_FALSE(table.put("d", "dora"));
  table.now += 10s;
  EXPECT_TRUE(table.put("d", "dora"));
  EXPECT_EQ(table.take("a"), "none");
  EXPECT_EQ(table.take("c"), "carl");
  EXPECT_EQ(table.take("d"), "dora");
}

TEST(Tickets, TheOctetsOfAllRecordsAreBounded) {
  Table table(100, 10);
  EXPECT_TRUE(table.put("a", "12345"));
  EXPECT_FALSE(table.put("b", "123456"));
  EXPECT_TRUE(table.put("c", "12345"));
  EXPECT_FALSE(table.put("d", "1"));
  EXPECT_EQ(table.take("a"), "12345");
  EXPECT_TRUE(table.put("d", "12345"));
}

TEST(Tickets, ASecondUnderTheSameKeyDoesNotReplaceTheFirst) {
  Table table;
  EXPECT_TRUE(table.put("a", "anna"));
  EXPECT_FALSE(table.put("a", "mallory"));
  EXPECT_EQ(table.take("a"), "anna");
}

TEST(Tickets, OfManyThreadsOneGetsIt) {
  Tickets tickets;
  constexpr int kTickets = 200;
  for (int i = 0; i < kTickets; ++i) {
    tickets.put(key(std::to_string(i)), "x", 30s, Instant{}, [](Result<void> kept) { EXPECT_TRUE(kept); });
  }
  std::atomic<int> got = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTickets; ++i) {
        tickets.take(key(std::to_string(i)), Instant{}, [&](auto taken) { got += taken->has_value() ? 1 : 0; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, kTickets);
}

}  // namespace
}  // namespace sluice::policy
