#include "server/revoker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <filesystem>

#include "base/json.h"

namespace sluice::server {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Kind = policy::Revocation::Kind;

struct StandingClock final : Clock {
  Instant now() const override { return Instant(std::chrono::hours(1)); }
  WallTime wall() const override { return time; }
  WallTime time{std::chrono::hours(24 * 365 * 56)};
};

class RevokerTest : public ::testing::Test {
 protected:
  RevokerTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-revoker-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    settings_.file = (folder_ / "file").string();
    settings_.max = 10;
    calls_.write = [this](int fd, const void* data, std::size_t size) -> ssize_t {
      if (!full_) return ::write(fd, data, size);
      errno = ENOSPC;
      return -1;
    };
  }
  ~RevokerTest() override {
    revoker_.reset();
    fs::remove_all(folder_);
  }

  // As after a start.
  std::string start() {
    revoker_.reset();
    table_ = std::make_shared<policy::Revocations>();
    revoker_ = std::make_unique<Revoker>(
        loop_, table_,
        [this](std::shared_ptr<const session::Kick> kick, std::move_only_function<void(std::size_t)> done) {
          kicks_.push_back(kick->revocation());
          in_table_when_kicked_ = table_->size();
          done(3);
        },
        calls_);
    std::string why;
    revoker_->open(settings_, why);
    return why;
  }
  AdminReply revoke(const std::string& body) {
    RevokeCommand command;
    EXPECT_FALSE(command.read(body)) << body;
    AdminReply reply{0, ""};
    revoker_->revoke(command, "127.0.0.1", [&](AdminReply said) { reply = std::move(said); });
    return reply;
  }
  static std::string id_of(const AdminReply& reply) { return Json::parse(reply.json)->find("id")->text(); }

  fs::path folder_;
  config::RevocationSettings settings_;
  DiskCalls calls_;
  bool full_ = false;
  StandingClock clock_;
  event::Loop loop_{&clock_};
  std::shared_ptr<policy::Revocations> table_;
  std::unique_ptr<Revoker> revoker_;
  std::vector<policy::Revocation> kicks_;
  std::size_t in_table_when_kicked_ = 99;
};

TEST_F(RevokerTest, AKickWithoutATimeIsOfTheMoment) {
  ASSERT_EQ(start(), "");
  const AdminReply reply = revoke(R"({"sub":"ann","code":4409})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json, R"({"closed":3})");
  ASSERT_EQ(kicks_.size(), 1u);
  EXPECT_EQ(kicks_[0].code, 4409);
  EXPECT_EQ(table_->size(), 0u);
}

TEST_F(RevokerTest, OneWithATimeIsInTheTableBeforeAnybodyIsClosed) {
  ASSERT_EQ(start(), "");
  const AdminReply reply = revoke(R"({"sub":"ann","ttl":"10m"})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.json, HasSubstr(R"("stored":true)"));
  EXPECT_EQ(in_table_when_kicked_, 1u);
  EXPECT_THAT(revoker_->list(10), HasSubstr(R"("value":"ann")"));
  EXPECT_THAT(revoker_->list(0), HasSubstr(R"({"revocations":[],"in_force":1})"));
}

TEST_F(RevokerTest, RevocationsOutliveTheProcess) {
  ASSERT_EQ(start(), "");
  const std::string ann = id_of(revoke(R"({"sub":"ann","ttl":"10m","reason":"bye"})"));
  const std::string bob = id_of(revoke(R"({"sub":"bob","ttl":"10m"})"));
  EXPECT_EQ(id_of(revoke(R"({"sub":"ann","ttl":"20m"})")), ann) << "renewed";
  revoke(R"({"sub":"eve","ttl":"1ms"})");
  revoke(R"({"ip":"10.0.0.0/8","ttl":"1h"})");
  EXPECT_EQ(revoker_->restore(bob, "unix").status, 200);
  clock_.time += std::chrono::milliseconds(1);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(table_->size(), 2u) << "eve's has ended, bob's was taken back";
  EXPECT_EQ(table_->find(ann)->value, "ann");
  EXPECT_TRUE(table_->refuses(*net::Address::parse("10.1.2.3", 0), loop_.wall()));
}

TEST_F(RevokerTest, WithoutAFileTheyDoNot) {
  settings_.file.clear();
  ASSERT_EQ(start(), "");
  const AdminReply reply = revoke(R"({"sub":"ann","ttl":"10m"})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.json, HasSubstr(R"("stored":false)"));
  EXPECT_EQ(revoker_->restore(id_of(reply), "unix").status, 200);
  EXPECT_EQ(table_->size(), 0u);
}

TEST_F(RevokerTest, OneThatTheDiskDoesNotTakeIsInForceAllTheSame) {
  ASSERT_EQ(start(), "");
  full_ = true;
  const AdminReply reply = revoke(R"({"sub":"ann","ttl":"10m"})");
  EXPECT_EQ(reply.status, 500);
  EXPECT_THAT(reply.json, HasSubstr(R"("closed":3)"));
  EXPECT_THAT(reply.json, HasSubstr(R"("stored":false)"));
  EXPECT_EQ(table_->size(), 1u);
  EXPECT_EQ(revoker_->restore(id_of(reply), "unix").status, 500) << "it may be on the disk, and would come back";
  EXPECT_EQ(table_->size(), 1u);
  full_ = false;
  EXPECT_EQ(revoke(R"({"sub":"bob","ttl":"10m"})").status, 200);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(table_->size(), 2u) << "the next one that was stored brought it along";
}

TEST_F(RevokerTest, OneIsTakenBackAfterAFailureToo) {
  ASSERT_EQ(start(), "");
  const std::string ann = id_of(revoke(R"({"sub":"ann","ttl":"10m"})"));
  full_ = true;
  const std::string bob = id_of(revoke(R"({"sub":"bob","ttl":"10m"})"));
  full_ = false;
  EXPECT_EQ(revoker_->restore(ann, "unix").status, 200);
  EXPECT_EQ(revoker_->restore(ann, "unix").status, 404);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(table_->size(), 1u);
  EXPECT_TRUE(table_->find(bob));
}

TEST_F(RevokerTest, AFullTableRefusesAndClosesNobody) {
  settings_.max = 2;
  ASSERT_EQ(start(), "");
  EXPECT_EQ(revoke(R"({"sub":"a","ttl":"10m"})").status, 200);
  EXPECT_EQ(revoke(R"({"sub":"b","ttl":"10m"})").status, 200);
  EXPECT_EQ(revoke(R"({"sub":"c","ttl":"10m"})").status, 503);
  EXPECT_EQ(kicks_.size(), 2u);
  settings_.max = 1;
  EXPECT_THAT(start(), HasSubstr("more than revocation.max allows"));
}

TEST_F(RevokerTest, TheFileStaysSmall) {
  ASSERT_EQ(start(), "");
  for (int i = 0; i < 500; ++i) ASSERT_EQ(revoke(R"({"sub":"ann","ttl":"10m"})").status, 200);
  EXPECT_LT(fs::file_size(settings_.file), 70u * 150u);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(table_->size(), 1u);
}

TEST_F(RevokerTest, ADamagedFileStopsTheStart) {
  ASSERT_EQ(start(), "");
  revoke(R"({"sub":"ann","ttl":"10m"})");
  revoker_.reset();
  fs::resize_file(settings_.file, 10);
  EXPECT_THAT(start(), HasSubstr("damaged at octet 0"));
}

}  // namespace
}  // namespace sluice::server
