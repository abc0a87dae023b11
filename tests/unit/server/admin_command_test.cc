#include "server/admin_command.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/log.h"
#include "support/test_house.h"

namespace sluice::server {
namespace {

using upstream::Duty;

TEST(AdminCommand, KnowsItsPaths) {
  const auto state = AdminCommand::at("/api/v1/backends/my%20app/servers/wss%3A%2F%2F%5B::1%5D:443/state");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->what, AdminCommand::What::state);
  EXPECT_EQ(state->backend, "my app");
  EXPECT_EQ(state->server, "wss://[::1]:443");
  const auto weight = AdminCommand::at("/api/v1/backends/a/servers/b/weight");
  ASSERT_TRUE(weight);
  EXPECT_EQ(weight->what, AdminCommand::What::weight);
  for (const char* path :
       {"/api/v1/backends", "/api/v1/backends/", "/api/v1/backends/a/servers/b", "/api/v1/backends/a/servers/b/",
        "/api/v1/backends/a/servers/b/State", "/api/v1/backends/a/servers/b/state/", "/api/v1/backends/a/server/b/state",
        "/api/v1/backends//servers/b/state", "/api/v1/backends/a/servers//state", "/api/v1/backends/a/servers/%/state",
        "/api/v1/backends/a/servers/%4/state", "/api/v1/backends/a/servers/%4g/state",
        "/api/v1/backends/a/servers/ws://b/state", "/api/v1/backends/a/servers/b/state?x", "/api/v2/backends/a/servers/b/state",
        "/x/api/v1/backends/a/servers/b/state"}) {
    EXPECT_FALSE(AdminCommand::at(path)) << path;
  }
}

std::string refusal(AdminCommand::What what, const std::string& body) {
  AdminCommand command;
  command.what = what;
  const auto refused = command.read(body);
  if (!refused) return "";
  EXPECT_EQ(refused->status, 400);
  return std::string(refused->error);
}

TEST(AdminCommand, ReadsStates) {
  using enum AdminCommand::What;
  for (const Duty duty : {Duty::ready, Duty::drain, Duty::down}) {
    AdminCommand command;
    const std::string name(upstream::kDutyNames[static_cast<std::size_t>(duty)]);
    EXPECT_FALSE(command.read("{\"state\": \"" + name + "\"}"));
    EXPECT_EQ(command.duty, duty);
  }
  AdminCommand command;
  EXPECT_FALSE(command.read(R"({"state":"auto"})"));
  EXPECT_FALSE(command.duty);
  for (const char* body : {R"({"state":"up"})", R"({"state":""})", R"({"state":1})", R"({"state":null})", R"({"state":["down"]})"}) {
    EXPECT_EQ(refusal(state, body), "state may be ready, drain, down or auto") << body;
  }
  for (const char* body : {"", "{", "[]", "\"down\"", R"({"state":"down","state":"ready"})", R"({"state":"down"} x)"}) {
    EXPECT_EQ(refusal(state, body), "the body is no JSON object") << body;
  }
  for (const char* body : {"{}", R"({"weight":1})", R"({"state":"down","weight":1})"}) {
    EXPECT_EQ(refusal(state, body), "the body is {\"state\": ...}") << body;
  }
}

TEST(AdminCommand, ReadsWeights) {
  using enum AdminCommand::What;
  for (const std::uint32_t weight : {0u, 1u, 1000u}) {
    AdminCommand command;
    command.what = AdminCommand::What::weight;
    EXPECT_FALSE(command.read("{\"weight\":" + std::to_string(weight) + "}"));
    EXPECT_EQ(command.weight, weight);
  }
  for (const char* body : {R"({"weight":-1})", R"({"weight":1001})", R"({"weight":1.5})", R"({"weight":1e2})",
                           R"({"weight":"5"})", R"({"weight":99999999999999999999})", R"({"weight":true})"}) {
    EXPECT_EQ(refusal(weight, body), "weight may be 0 to 1000 or \"auto\"") << body;
  }
}

class Applied : public testing::Test {
 protected:
  Applied() { log::set_level(Level::off); }
  ~Applied() override { log::set_level(Level::info); }

  void load(std::uint32_t weight, Duty duty) {
    config::Settings settings = test::settings_for({"ws://10.0.0.1:9000", "ws://10.0.0.2:9000"});
    settings.backends[0].servers[0].weight = weight;
    settings.backends[0].servers[0].duty = duty;
    snapshot_ = std::make_shared<config::Snapshot>(std::move(settings), memory_, ++generation_);
    snapshot_->take_effect(memory_);
  }
  Json say(const std::string& what, const std::string& body) {
    auto command = AdminCommand::at("/api/v1/backends/app/servers/ws%3A%2F%2F10.0.0.1%3A9000/" + what);
    EXPECT_TRUE(command);
    EXPECT_FALSE(command->read(body));
    const auto told = command->apply(*snapshot_, Instant(std::chrono::hours(1)));
    EXPECT_TRUE(told);
    return *Json::parse(*told);
  }
  upstream::Server& server() { return *snapshot_->clusters()[0]->servers()[0]; }

  config::Memory memory_;
  std::shared_ptr<config::Snapshot> snapshot_;
  std::uint64_t generation_ = 0;
};

TEST_F(Applied, TheOperatorsWordWinsAndSurvivesReloads) {
  load(3, Duty::ready);
  Json told = say("state", R"({"state":"drain"})");
  EXPECT_EQ(told.find("state")->text(), "drain");
  EXPECT_EQ(told.find("operator")->find("state")->text(), "drain");
  EXPECT_EQ(told.find("operator")->find("weight"), nullptr);
  told = say("weight", R"({"weight":9})");
  EXPECT_EQ(told.find("weight")->integer(), 9);
  EXPECT_EQ(told.find("operator")->find("weight")->integer(), 9);
  load(5, Duty::down);
  EXPECT_EQ(server().duty.load(), Duty::drain);
  EXPECT_EQ(server().weight.load(), 9u);
  told = say("state", R"({"state":"auto"})");
  EXPECT_EQ(told.find("state")->text(), "down") << "as configured by now";
  told = say("weight", R"({"weight":"auto"})");
  EXPECT_EQ(told.find("weight")->integer(), 5);
  EXPECT_EQ(told.find("operator"), nullptr);
  load(2, Duty::ready);
  EXPECT_EQ(server().duty.load(), Duty::ready);
  EXPECT_EQ(server().weight.load(), 2u);
}

TEST_F(Applied, NamesWhatIsNotThere) {
  load(1, Duty::ready);
  const auto error = [&](const std::string& path) {
    const auto told = AdminCommand::at(path)->apply(*snapshot_, Instant{});
    return told ? std::string() : std::string(told.error().error);
  };
  EXPECT_EQ(error("/api/v1/backends/none/servers/x/state"), "no such backend");
  EXPECT_EQ(error("/api/v1/backends/app/servers/ws%3A%2F%2F10.0.0.3%3A9000/state"), "no such server");
  EXPECT_EQ(error("/api/v1/backends/app/servers/10.0.0.1%3A9000/state"), "no such server");
}

}  // namespace
}  // namespace sluice::server
