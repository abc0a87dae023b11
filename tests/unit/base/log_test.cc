#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "base/event_limit.h"
#include "base/json.h"
#include "base/log_target.h"

namespace sluice::log {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> lines_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return lines_of(text.str());
}

class Log : public testing::Test {
 protected:
  Log() {
    char name[] = "/tmp/sluice-log-XXXXXX";
    folder_ = mkdtemp(name);
    settings_.file = folder_ / "events";
    settings_.access = folder_ / "access";
  }
  ~Log() override {
    close();
    set_level(Level::info);
    std::filesystem::remove_all(folder_);
  }
  void open_all() {
    std::string why;
    ASSERT_TRUE(open(settings_, why)) << why;
  }
  // A FIFO whose reader does not read: what a stuck collector looks like. Returns the reader.
  int stuck_pipe(const std::string& name) {
    const std::string path = folder_ / name;
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }

  std::filesystem::path folder_;
  Settings settings_;
};

std::string read_until_end(int fd) {
  std::string text;
  char piece[4096];
  while (true) {
    const ssize_t n = ::read(fd, piece, sizeof piece);
    if (n <= 0) return text;
    text.append(piece, static_cast<std::size_t>(n));
  }
}

TEST_F(Log, WritesEveryAuditLine) {
  settings_.level = Level::error;
  open_all();
  for (int i = 0; i < 30; ++i) audit("revoke", "127.0.0.1", std::vector<Field>{{"value", "ann"}, {"closed", i}});
  set_level(Level::off);
  audit("revoke", "unix", {});
  close();
  const auto lines = lines_in(settings_.file);
  ASSERT_EQ(lines.size(), 30u);
  const auto json = Json::parse(lines[29]);
  ASSERT_TRUE(json) << lines[29];
  EXPECT_EQ(json->find("event")->text(), "audit");
  EXPECT_EQ(json->find("action")->text(), "revoke");
  EXPECT_EQ(json->find("by")->text(), "127.0.0.1");
  EXPECT_EQ(json->find("value")->text(), "ann");
  EXPECT_EQ(json->find("closed")->integer(), 29);
}

TEST_F(Log, WritesAnEventAsOneJsonObject) {
  open_all();
  event(Level::warn, "backend_down", {{"backend", "chat"}, {"text", "a \"b\"\n\x01"}, {"number", -7}});
  close();
  const auto lines = lines_in(settings_.file);
  ASSERT_EQ(lines.size(), 1u);
  const auto json = Json::parse(lines[0]);
  ASSERT_TRUE(json) << lines[0];
  EXPECT_EQ(json->find("level")->text(), "warn");
  EXPECT_EQ(json->find("event")->text(), "backend_down");
  EXPECT_EQ(json->find("backend")->text(), "chat");
  EXPECT_EQ(json->find("text")->text(), "a \"b\"\n\x01");
  EXPECT_EQ(json->find("number")->integer(), -7);
  EXPECT_EQ(json->find("ts")->text().size(), std::string_view("2026-11-23T00:00:00.000Z").size());
}

TEST_F(Log, CutsLongValuesBetweenCodePoints) {
  open_all();
  std::string text(1023, 'a');
  text += "\xc3\xa9 and more";
  event(Level::error, "long_value", {{"text", text}});
  close();
  const auto json = Json::parse(lines_in(settings_.file).at(0));
  ASSERT_TRUE(json);
  EXPECT_EQ(json->find("text")->text(), std::string(1023, 'a'));
}

TEST_F(Log, LeavesOutWhatIsBelowTheLevel) {
  settings_.level = Level::warn;
  open_all();
  event(Level::info, "not_said");
  event(Level::warn, "said");
  set_level(Level::off);
  event(Level::error, "not_said_either");
  EXPECT_FALSE(enabled(Level::error));
  EXPECT_FALSE(enabled(Level::off));
  close();
  EXPECT_EQ(lines_in(settings_.file).size(), 1u);
}

TEST_F(Log, DeliversAccessLinesInOrder) {
  open_all();
  ASSERT_TRUE(access_enabled());
  for (int i = 0; i < 20000; ++i) access("{\"n\":" + std::to_string(i) + "}");
  close();
  const auto lines = lines_in(settings_.access);
  ASSERT_EQ(lines.size(), 20000u);
  for (int i = 0; i < 20000; ++i) ASSERT_EQ(lines[i], "{\"n\":" + std::to_string(i) + "}");
}

TEST_F(Log, KeepsEachThreadsOrderWhenManyWrite) {
  open_all();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 2000; ++i) access(std::to_string(t) + " " + std::to_string(i));
    });
  }
  for (auto& thread : threads) thread.join();
  close();
  std::vector<int> next(4, 0);
  for (const std::string& line : lines_in(settings_.access)) {
    const int t = line.at(0) - '0';
    ASSERT_EQ(line, std::to_string(t) + " " + std::to_string(next[t]++));
  }
  EXPECT_EQ(next, std::vector<int>(4, 2000));
}

TEST_F(Log, TurnsAccessLinesOff) {
  settings_.access = "off";
  open_all();
  EXPECT_FALSE(access_enabled());
  access("nowhere");
  close();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "access"));
}

TEST_F(Log, SharesOneWriterWhenBothGoToOneFile) {
  settings_.access = settings_.file;
  open_all();
  event(Level::info, "first");
  access("second");
  close();
  const auto lines = lines_in(settings_.file);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1], "second");
}

TEST_F(Log, LosesNothingWhenReopenedAfterARename) {
  open_all();
  const std::uint64_t before = dropped();
  std::thread writer([] {
    for (int i = 0; i < 20000; ++i) access("line");
  });
  std::filesystem::rename(settings_.access, folder_ / "access.1");
  EXPECT_TRUE(reopen());
  writer.join();
  access("last");
  close();
  const auto old_lines = lines_in(folder_ / "access.1");
  const auto new_lines = lines_in(settings_.access);
  EXPECT_EQ(old_lines.size() + new_lines.size(), 20001u);
  ASSERT_FALSE(new_lines.empty());
  EXPECT_EQ(new_lines.back(), "last");
  EXPECT_EQ(dropped(), before);
}

TEST_F(Log, GoesOnAsItWasWhenAFileCannotBeReopened) {
  open_all();
  std::filesystem::create_directory(folder_ / "kept");
  std::filesystem::rename(settings_.access, folder_ / "kept" / "access");
  std::filesystem::create_directory(settings_.access);
  EXPECT_FALSE(reopen());
  access("still here");
  close();
  EXPECT_EQ(lines_in(folder_ / "kept" / "access").size(), 1u);
}

TEST_F(Log, StaysOpenWhenANewFileCannotBeOpened) {
  open_all();
  Settings broken = settings_;
  broken.access = folder_ / "no" / "such" / "folder";
  std::string why;
  EXPECT_FALSE(open(broken, why));
  EXPECT_NE(why.find("no/such/folder"), std::string::npos);
  access("as before");
  close();
  EXPECT_EQ(lines_in(settings_.access).size(), 1u);
}

TEST_F(Log, MovesToAnotherFileWhenOpenedAgain) {
  open_all();
  settings_.access = folder_ / "elsewhere";
  open_all();
  access("moved");
  close();
  EXPECT_EQ(lines_in(folder_ / "elsewhere").size(), 1u);
}

TEST_F(Log, NeverBlocksACallerOnAStuckPipe) {
  const int reader = stuck_pipe("fifo");
  settings_.access = folder_ / "fifo";
  settings_.queue = 100;
  open_all();
  const std::uint64_t before = dropped();
  const std::string line(1000, 'x');
  for (int i = 0; i < 5000; ++i) access(line);  // a pipe holds 64 of these, the queue and one batch 100 each
  EXPECT_GT(dropped() - before, 4000u);
  close(200);
  for (const std::string& got : lines_of(read_until_end(reader))) EXPECT_EQ(got, line);
  ::close(reader);
}

TEST_F(Log, LeavesAStuckPipeForTheFileOfTheNextConfiguration) {
  const int reader = stuck_pipe("fifo");
  settings_.access = folder_ / "fifo";
  open_all();
  const std::uint64_t before = dropped();
  const std::string line(1000, 'x');
  for (int i = 0; i < 500; ++i) access(line);
  settings_.access = folder_ / "file";
  open_all();
  close();
  const std::size_t through_pipe = lines_of(read_until_end(reader)).size();
  EXPECT_EQ(through_pipe + lines_in(folder_ / "file").size() + (dropped() - before), 500u);
  ::close(reader);
}

TEST_F(Log, CountsWhatAFullDiskRefuses) {
  settings_.access = "/dev/full";
  open_all();
  const std::uint64_t before = dropped();
  for (int i = 0; i < 50; ++i) access("refused");
  close();
  EXPECT_EQ(dropped() - before, 50u);
}

TEST(LogTarget, EndsATornLineBeforeTheNextOne) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  LogTarget target("pipe", ends[1], false);
  const std::string huge = std::string(200'000, 'a') + "\n";  // longer than the pipe
  const std::string next = "next\n";
  const std::string lines = huge + next;
  const std::size_t taken = target.write(lines, [] { return true; });
  EXPECT_EQ(taken, huge.size());
  EXPECT_EQ(target.lost(), 1u);
  std::string got = read_until_end(ends[0]);
  EXPECT_EQ(target.write(std::string_view(lines).substr(taken), [] { return true; }), next.size());
  got += read_until_end(ends[0]);
  const auto whole = lines_of(got);
  ASSERT_EQ(whole.size(), 2u);
  EXPECT_EQ(whole[1], "next");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(LogTarget, CutsBatchesForAPipeAtLines) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  LogTarget target("pipe", ends[1], false);
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += std::string(999, 'b') + "\n";
  const std::size_t taken = target.write(lines, [] { return true; });
  EXPECT_LT(taken, lines.size());
  EXPECT_EQ(taken % 1000, 0u);
  EXPECT_EQ(target.lost(), 0u);
  EXPECT_EQ(read_until_end(ends[0]).size(), taken);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(EventLimit, SaysHowManyWereLeftOut) {
  EventLimit limit(10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(limit.admit("a", 5000 + i), std::optional<std::uint64_t>(0));
  for (int i = 0; i < 7; ++i) EXPECT_EQ(limit.admit("a", 5900), std::nullopt);
  EXPECT_EQ(limit.admit("b", 5900), std::optional<std::uint64_t>(0));
  EXPECT_EQ(limit.admit("a", 6000), std::optional<std::uint64_t>(7));
  EXPECT_EQ(limit.admit("a", 6001), std::optional<std::uint64_t>(0));
}

TEST(Timestamp, IsIso8601InUtcWithMilliseconds) {
  EXPECT_EQ(timestamp(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(timestamp(1795392000007), "2026-11-23T00:00:00.007Z");
  EXPECT_EQ(timestamp(951782399999), "2000-02-28T23:59:59.999Z");
  EXPECT_EQ(timestamp(951782400000), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(timestamp(-1), "1969-12-31T23:59:59.999Z");
}

TEST(Timestamp, OfOneSecondDiffersInItsMillisecondsAlone) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(timestamp(1795392000000), "2026-11-23T00:00:00.000Z");
    EXPECT_EQ(timestamp(1795392000250), "2026-11-23T00:00:00.250Z");
    EXPECT_EQ(timestamp(1795392000999), "2026-11-23T00:00:00.999Z");
    EXPECT_EQ(timestamp(1795392001000), "2026-11-23T00:00:01.000Z");
  }
}

}  // namespace
}  // namespace sluice::log
