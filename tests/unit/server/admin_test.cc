// The admin listener over real sockets of 127.0.0.1: one loop, clients that never block.
#include "server/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/buffer.h"
#include "base/json.h"
#include "http/h1_parser.h"
#include "support/run_until.h"

namespace sluice::server {
namespace {

using testing::HasSubstr;
using testing::Not;

class FakeSource : public AdminSource {
 public:
  std::string metrics() override { return metrics_text; }
  std::string status() override { return R"({"version":"1"})"; }
  std::string backends() override { return R"({"backends":[]})"; }
  std::expected<std::string, AdminRefusal> command(const AdminCommand& command) override {
    commands.push_back(command);
    if (command.backend != "app") return std::unexpected(AdminRefusal{404, "no such backend"});
    return R"({"url":"x"})";
  }
  bool started() override { return has_started; }
  bool ready(std::string& why) override {
    why = unready;
    return unready.empty();
  }
  void connections(const ConnectionQuery& query, std::move_only_function<void(AdminReply)> done) override {
    asked_limit = query.limit;
    pending.push_back(std::move(done));
  }
  void revoke(const RevokeCommand& command, std::string_view by, std::move_only_function<void(AdminReply)> done) override {
    revoked.push_back(command.what.value + " by " + std::string(by));
    if (command.what.value == "nobody") return done({503, R"({"error":"full"})"});
    pending.push_back(std::move(done));
  }
  std::string revocations(std::size_t) override { return R"({"revocations":[]})"; }
  AdminReply restore(const std::string& id, std::string_view) override {
    return id == "r1" ? AdminReply{200, R"({"id":"r1"})"} : AdminReply{404, R"({"error":"no such revocation"})"};
  }

  std::string metrics_text = "sluice_workers 1\n";
  std::string unready;
  bool has_started = true;
  std::size_t asked_limit = 0;
  std::vector<AdminCommand> commands;
  std::vector<std::string> revoked;
  std::vector<std::move_only_function<void(AdminReply)>> pending;
};

// A client whose calls never block; pumped by the test's loop.
class Client {
 public:
  explicit Client(const net::Address& to) {
    int error = 0;
    fd_ = net::connect_to(to, {}, error);
    EXPECT_TRUE(fd_) << error;
  }
  // Sends what fits; true when all has left.
  bool send(std::string_view text) {
    while (sent_ < text.size()) {
      const ssize_t n =
          ::send(fd_.get(), text.data() + sent_, text.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) {
        if (errno != EAGAIN) broken_ = true;
        return broken_;
      }
      sent_ += static_cast<std::size_t>(n);
    }
    sent_ = 0;
    return true;
  }
  // Takes what is there; true at the end.
  bool ended() {
    char buffer[65536];
    for (;;) {
      const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n > 0) {
        text.append(buffer, static_cast<std::size_t>(n));
        continue;
      }
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
      reset = n < 0;
      return true;
    }
  }
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

  std::string text;
  bool reset = false;

 private:
  net::Fd fd_;
  std::size_t sent_ = 0;
  bool broken_ = false;
};

struct Answer {
  int status = 0;
  std::map<std::string, std::string> fields;
  std::string body;
};

Answer read_answer(const std::string& text) {
  http::HeadParser parser(http::HeadParser::Kind::response);
  http::Head head;
  const auto size = parser.parse(as_bytes(text), head);
  EXPECT_TRUE(size && *size > 0) << text;
  if (!size || *size == 0) return {};
  Answer answer{head.status, {}, text.substr(*size)};
  for (const http::Field& field : head.fields) answer.fields[std::string(field.name)] = field.value;
  return answer;
}

class AdminTest : public testing::Test {
 protected:
  AdminTest() { settings_.bind = *net::Address::parse("127.0.0.1", 0); }

  void listen() {
    std::string why;
    ASSERT_TRUE(admin_->listen(settings_, why)) << why;
  }
  std::string raw(const std::string& request) {
    if (admin_->address().empty()) listen();
    Client client(admin_->address());
    bool sent = false;
    EXPECT_TRUE(run_until(loop_, [&] {
      sent = sent || client.send(request);
      return client.ended();
    }));
    EXPECT_FALSE(client.reset);
    client.close();
    EXPECT_TRUE(run_until(loop_, [&] { return admin_->connections() == 0; })) << "a connection is left";
    return client.text;
  }
  Answer ask(const std::string& target, const std::string& fields = "", const std::string& method = "GET") {
    return read_answer(raw(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n"));
  }

  event::Loop loop_;
  Turn turn_;
  BufferPool pool_;
  net::Place place_{loop_, turn_, pool_};
  FakeSource source_;
  config::AdminSettings settings_;
  std::unique_ptr<Admin> admin_ = std::make_unique<Admin>(loop_, place_, source_);
};

TEST_F(AdminTest, AnswersHealth) {
  for (const char* path : {"/livez", "/readyz", "/healthz"}) {
    const Answer answer = ask(path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.body, "ok\n");
  }
}

TEST_F(AdminTest, SaysWhyItIsNotReady) {
  source_.unready = "draining";
  const Answer answer = ask("/readyz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, "draining\n");
  EXPECT_EQ(ask("/livez").status, 200);
}

TEST_F(AdminTest, AnswersOnlyHealthBeforeTheStart) {
  source_.has_started = false;
  EXPECT_EQ(ask("/livez").status, 200);
  for (const char* path : {"/metrics", "/api/v1/status", "/api/v1/backends", "/api/v1/connections"}) {
    EXPECT_EQ(ask(path).status, 503) << path;
  }
  EXPECT_TRUE(source_.pending.empty());
}

TEST_F(AdminTest, AnswersMetricsInTheFormatOfPrometheus) {
  const Answer answer = ask("/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, source_.metrics_text);
  EXPECT_EQ(answer.fields.at("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(AdminTest, AnswersJson) {
  for (const char* path : {"/api/v1/status", "/api/v1/backends"}) {
    const Answer answer = ask(path);
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(Json::parse(answer.body)) << answer.body;
    EXPECT_EQ(answer.fields.at("Content-Type"), "application/json");
  }
}

TEST_F(AdminTest, EveryAnswerIsGuardedAndLast) {
  for (const char* path : {"/livez", "/metrics", "/api/v1/status", "/nowhere"}) {
    const Answer answer = ask(path);
    EXPECT_EQ(answer.fields.at("Connection"), "close");
    EXPECT_EQ(answer.fields.at("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(answer.fields.at("Cache-Control"), "no-store");
    EXPECT_EQ(answer.fields.at("Content-Length"), std::to_string(answer.body.size()));
    EXPECT_THAT(answer.fields.at("Date"),
                testing::MatchesRegex("[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} "
                                      "[0-9]{2}:[0-9]{2}:[0-9]{2} GMT"));
    for (const auto& [name, value] : answer.fields) EXPECT_FALSE(name.starts_with("Access-Control")) << name;
  }
}

TEST_F(AdminTest, HeadHasTheHeadOnly) {
  const Answer answer = ask("/metrics", "", "HEAD");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(answer.fields.at("Content-Length"), std::to_string(source_.metrics_text.size()));
  EXPECT_EQ(ask("/nowhere", "", "HEAD").body, "");
}

TEST_F(AdminTest, RefusalsAreJsonThatReflectsNothing) {
  settings_.token = "s3cret-token-s3cret";
  const std::string evil = "injected-canary";
  const std::string requests[] = {
      "GET /" + evil + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: " + evil + "\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: localhost\r\nOrigin: http://" + evil + "\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + evil + "\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: localhost\r\n" + evil + ": a\r\n b\r\n\r\n",
      evil + "\r\n\r\n",
  };
  for (const std::string& request : requests) {
    const Answer answer = read_answer(raw(request));
    EXPECT_GE(answer.status, 400);
    EXPECT_LT(answer.body.size(), 256u);
    EXPECT_THAT(answer.body, Not(HasSubstr(evil)));
    const auto json = Json::parse(answer.body);
    ASSERT_TRUE(json) << answer.body;
    EXPECT_NE(json->find("error"), nullptr);
  }
}

TEST_F(AdminTest, TheGuardsStandBeforeTheEndpoints) {
  settings_.token = "s3cret-token-s3cret";
  EXPECT_EQ(ask("/livez").status, 200);
  Answer answer = ask("/metrics");
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.fields.at("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(ask("/metrics", "Authorization: Bearer s3cret-token-s3cret\r\n").status, 200);
  EXPECT_EQ(ask("/metrics", "Authorization: Bearer s3cret-token-s3cret\r\nOrigin: null\r\n").status, 403);
  answer = ask("/livez", "Content-Type: application/json\r\n", "POST");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.fields.at("Allow"), "GET, HEAD");
  EXPECT_EQ(read_answer(raw("GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n")).status, 421);
}

const std::string kToken = "s3cret-token-s3cret";
std::string put(const std::string& path, const std::string& body, const std::string& more = "") {
  return "PUT " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nAuthorization: Bearer " + kToken + "\r\n" + more + "\r\n" + body;
}
const std::string kServerPath = "/api/v1/backends/app/servers/ws%3A%2F%2F127.0.0.1%3A9000";

TEST_F(AdminTest, TakesCommands) {
  settings_.token = kToken;
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", R"({"state":"drain"})"))).status, 200);
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/weight", R"({"weight":7})"))).status, 200);
  ASSERT_EQ(source_.commands.size(), 2u);
  EXPECT_EQ(source_.commands[0].server, "ws://127.0.0.1:9000");
  EXPECT_EQ(source_.commands[0].duty, upstream::Duty::drain);
  EXPECT_EQ(source_.commands[1].weight, 7u);
  EXPECT_EQ(read_answer(raw(put("/api/v1/backends/no/servers/x/state", R"({"state":"auto"})"))).status, 404);
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", R"({"state":"up"})"))).status, 400);
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", "{"))).status, 400);
  EXPECT_EQ(source_.commands.size(), 3u);
}

TEST_F(AdminTest, CommandsAreGuarded) {
  const std::string body = R"({"state":"down"})";
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", body))).status, 403) << "nobody has a token that is not configured";
  settings_.token = kToken;
  listen();
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", body, "Origin: http://localhost\r\n"))).status, 403);
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", body, "Sec-Fetch-Site: same-origin\r\n"))).status, 403);
  const Answer got = ask(kServerPath + "/state", "Authorization: Bearer " + kToken + "\r\n");
  EXPECT_EQ(got.status, 405);
  EXPECT_EQ(got.fields.at("Allow"), "PUT");
  settings_.token = "another-token-another";
  listen();
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", body))).status, 401);
  settings_.token = kToken;
  listen();
  source_.has_started = false;
  EXPECT_EQ(read_answer(raw(put(kServerPath + "/state", body))).status, 503);
  EXPECT_TRUE(source_.commands.empty());
}

TEST_F(AdminTest, ACommandMayComeInAnyPieces) {
  settings_.token = kToken;
  listen();
  const std::string request = put(kServerPath + "/state", R"({"state":"down"})");
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    Client client(admin_->address());
    bool first = false;
    bool second = false;
    ASSERT_TRUE(run_until(loop_, [&] {
      first = first || client.send(request.substr(0, cut));
      second = second || (first && client.send(request.substr(cut)));
      return client.ended();
    }));
    EXPECT_EQ(read_answer(client.text).status, 200) << cut;
  }
  EXPECT_EQ(source_.commands.size(), request.size() - 1);
}

TEST_F(AdminTest, ParsesStrictly) {
  EXPECT_EQ(read_answer(raw("GET /livez HTTP/1.1\n\n")).status, 400);
  EXPECT_EQ(read_answer(raw("\x16\x03\x01\r\n\r\n")).status, 400);
  EXPECT_EQ(read_answer(raw("GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n")).status, 505);
  EXPECT_EQ(read_answer(raw("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\n")).status, 414);
  EXPECT_EQ(read_answer(raw("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'a'))).status,
            431);
}

TEST_F(AdminTest, AHeadMayComeInAnyPieces) {
  listen();
  const std::string request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\n";
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    Client client(admin_->address());
    ASSERT_TRUE(run_until(loop_, [&] { return client.send(request.substr(0, cut)); }));
    ASSERT_TRUE(run_until(loop_, [&] { return admin_->connections() == 1; }));
    client.ended();
    ASSERT_EQ(client.text, "") << "answered too early at " << cut;
    bool sent = false;
    ASSERT_TRUE(run_until(loop_, [&] {
      sent = sent || client.send(request.substr(cut));
      return client.ended();
    }));
    EXPECT_EQ(read_answer(client.text).status, 200) << cut;
    client.close();
    ASSERT_TRUE(run_until(loop_, [&] { return admin_->connections() == 0; }));
  }
}

TEST_F(AdminTest, ALargeBodyDoesNotTakeTheAnswerWithIt) {
  const std::string body(10 * 1024 * 1024, 'x');
  const Answer answer =
      read_answer(raw("POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      "Content-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body));
  EXPECT_EQ(answer.status, 413);
}

TEST_F(AdminTest, ALargeAnswerArrivesWhole) {
  source_.metrics_text.assign(8 * 1024 * 1024, 'm');
  EXPECT_EQ(ask("/metrics").body, source_.metrics_text);
  EXPECT_EQ(pool_.lent(), 0u);
}

TEST_F(AdminTest, ConnectionsAreAskedOfTheWorkers) {
  listen();
  Client client(admin_->address());
  const std::string request = "GET /api/v1/connections?limit=7 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ASSERT_TRUE(run_until(loop_, [&] { return client.send(request); }));
  ASSERT_TRUE(run_until(loop_, [&] { return source_.pending.size() == 1; }));
  EXPECT_EQ(source_.asked_limit, 7u);
  client.ended();
  EXPECT_EQ(client.text, "");
  source_.pending[0]({200, R"({"connections":[]})"});
  ASSERT_TRUE(run_until(loop_, [&] { return client.ended(); }));
  EXPECT_EQ(read_answer(client.text).body, R"({"connections":[]})");
}

TEST_F(AdminTest, ARevocationIsAnsweredOnceTheWorkersHave) {
  settings_.token = "token-token-token";
  listen();
  const auto request = [](const std::string& body) {
    return "POST /api/v1/revoke HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token-token-token\r\n"
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  Client client(admin_->address());
  ASSERT_TRUE(run_until(loop_, [&] { return client.send(request(R"({"sub":"ann"})")); }));
  ASSERT_TRUE(run_until(loop_, [&] { return source_.pending.size() == 1; }));
  EXPECT_EQ(source_.revoked.back(), "ann by 127.0.0.1");
  client.ended();
  EXPECT_EQ(client.text, "");
  source_.pending[0]({200, R"({"closed":3})"});
  ASSERT_TRUE(run_until(loop_, [&] { return client.ended(); }));
  EXPECT_EQ(read_answer(client.text).body, R"({"closed":3})");

  EXPECT_EQ(read_answer(raw(request(R"({"sub":"nobody"})"))).status, 503) << "answered within the question";
  EXPECT_EQ(read_answer(raw(request(R"({"sub":""})"))).status, 400);
  EXPECT_EQ(source_.revoked.size(), 2u);
  const std::string token = "Authorization: Bearer token-token-token\r\n";
  EXPECT_EQ(ask("/api/v1/revocations", token).body, R"({"revocations":[]})");
  EXPECT_EQ(ask("/api/v1/revocations/r1", token, "DELETE").status, 200);
  EXPECT_EQ(ask("/api/v1/revocations/r2", token, "DELETE").status, 404);
}

TEST_F(AdminTest, AnAnswerForWhoHasGoneIsDropped) {
  listen();
  for (const bool admin_too : {false, true}) {
    source_.pending.clear();
    Client client(admin_->address());
    const std::string request = "GET /api/v1/connections HTTP/1.1\r\nHost: localhost\r\n\r\n";
    ASSERT_TRUE(run_until(loop_, [&] { return client.send(request); }));
    ASSERT_TRUE(run_until(loop_, [&] { return source_.pending.size() == 1; }));
    net::set_abort_on_close(client.fd());
    client.close();
    if (admin_too) admin_.reset();
    source_.pending[0]({200, "{}"});
    if (!admin_too) {
      EXPECT_TRUE(run_until(loop_, [&] { return admin_->connections() == 0; }));
    }
    bool passed = false;
    loop_.defer([&] { passed = true; });
    EXPECT_TRUE(run_until(loop_, [&] { return passed; }));
  }
}

TEST_F(AdminTest, SilentClientsDoNotKeepOthersOut) {
  listen();
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 80; ++i) silent.push_back(std::make_unique<Client>(admin_->address()));
  ASSERT_TRUE(run_until(loop_, [&] { return silent[15]->ended(); })) << "the oldest had to go";
  EXPECT_FALSE(silent[79]->ended());
  EXPECT_LE(admin_->connections(), 64u);
  Client client(admin_->address());
  ASSERT_TRUE(
      run_until(loop_, [&] { return client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); }));
  ASSERT_TRUE(run_until(loop_, [&] { return client.ended(); }));
  EXPECT_EQ(read_answer(client.text).status, 200);
}

TEST_F(AdminTest, ClientsThatAreBeingAnsweredAreNotPutOut) {
  listen();
  const std::string request = "GET /api/v1/connections HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::vector<std::unique_ptr<Client>> asking;
  for (int i = 0; i < 64; ++i) {
    asking.push_back(std::make_unique<Client>(admin_->address()));
    ASSERT_TRUE(run_until(loop_, [&] { return asking.back()->send(request); }));
  }
  ASSERT_TRUE(run_until(loop_, [&] { return source_.pending.size() == 64; }));
  Client late(admin_->address());
  ASSERT_TRUE(run_until(loop_, [&] { return late.ended(); }));
  EXPECT_EQ(late.text, "");
  for (auto& done : source_.pending) done({200, "{}"});
  for (auto& client : asking) {
    ASSERT_TRUE(run_until(loop_, [&] { return client->ended(); }));
    EXPECT_EQ(read_answer(client->text).status, 200);
  }
}

TEST_F(AdminTest, KeepsItsSocketOverAReloadAndTakesTheNewToken) {
  listen();
  const net::Address before = admin_->address();
  settings_.token = "s3cret-token-s3cret";
  listen();
  EXPECT_TRUE(before == admin_->address());
  EXPECT_EQ(ask("/metrics").status, 401);
}

TEST_F(AdminTest, MovesToANewAddressOnlyWhenItCanBeBound) {
  listen();
  const net::Address before = admin_->address();
  net::Fd taken(
      ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // without SO_REUSEPORT nobody shares its port
  const net::Address any = *net::Address::parse("127.0.0.1", 0);
  ASSERT_EQ(::bind(taken.get(), any.raw(), any.raw_size()), 0);
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  settings_.bind = net::local_address(taken.get());
  settings_.token = "s3cret-token-s3cret";
  std::string why;
  EXPECT_FALSE(admin_->listen(settings_, why));
  EXPECT_THAT(why, HasSubstr(settings_.bind.text()));
  EXPECT_TRUE(before == admin_->address());
  EXPECT_EQ(ask("/metrics").status, 200) << "the old settings hold";
  taken.reset();
  settings_.token.clear();
  ASSERT_TRUE(admin_->listen(settings_, why)) << why;
  EXPECT_TRUE(admin_->address() == settings_.bind);
  EXPECT_EQ(ask("/metrics").status, 200);
}

TEST_F(AdminTest, MayBeOff) {
  settings_.enabled = false;
  std::string why;
  EXPECT_TRUE(admin_->listen(settings_, why));
  EXPECT_TRUE(admin_->address().empty());
  settings_.enabled = true;
  listen();
  EXPECT_FALSE(admin_->address().empty());
  settings_.enabled = false;
  EXPECT_TRUE(admin_->listen(settings_, why));
  EXPECT_TRUE(admin_->address().empty());
}

TEST_F(AdminTest, RefusesToBeOpenToEveryone) {
  settings_.bind = *net::Address::parse("0.0.0.0", 0);
  std::string why;
  EXPECT_FALSE(admin_->listen(settings_, why));
  EXPECT_FALSE(why.empty());
  settings_.token = "s3cret-token-s3cret";
  EXPECT_TRUE(admin_->listen(settings_, why)) << why;
}

TEST_F(AdminTest, AUnixSocketIsForOwnerAndGroupAndGoesAway) {
  char folder[] = "/tmp/sluice-admin-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/admin.sock";
  settings_.bind = *net::Address::parse_bind("unix:" + path);
  const mode_t before = ::umask(0);
  listen();
  EXPECT_EQ(::umask(before), 0u) << "the umask is as it was";
  struct stat file{};
  ASSERT_EQ(::stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0660u);
  EXPECT_EQ(ask("/livez").status, 200);
  EXPECT_EQ(read_answer(raw("GET /metrics HTTP/1.1\r\nHost: anything\r\n\r\n")).status, 200);
  admin_.reset();
  EXPECT_NE(::stat(path.c_str(), &file), 0);
  ::rmdir(folder);
}

TEST_F(AdminTest, AUnixSocketThatAnotherProcessTookOverIsLeftAlone) {
  char folder[] = "/tmp/sluice-admin-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/admin.sock";
  settings_.bind = *net::Address::parse_bind("unix:" + path);
  listen();
  int error = 0;
  const net::Fd heir = net::listen_on(settings_.bind, error);  // replaces the file
  ASSERT_TRUE(heir) << error;
  admin_.reset();
  struct stat file{};
  EXPECT_EQ(::stat(path.c_str(), &file), 0);
  ::unlink(path.c_str());
  ::rmdir(folder);
}

}  // namespace
}  // namespace sluice::server
