#include "session/listener_answer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice::session {
namespace {

namespace fs = std::filesystem;

class Challenges : public ::testing::Test {
 protected:
  Challenges() {
    std::string pattern = (fs::temp_directory_path() / "sluice-acme-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    folder_ = root_ / ".well-known" / "acme-challenge";
    fs::create_directories(folder_);
  }
  ~Challenges() override { fs::remove_all(root_); }
  void write(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }
  std::optional<std::string> read(std::string_view token) { return read_challenge(root_.string(), token); }

  fs::path root_;
  fs::path folder_;
};

TEST_F(Challenges, AFileIsServedAsSoonAsItIsThere) {
  EXPECT_EQ(read("tok-EN_1"), std::nullopt);
  write(folder_ / "tok-EN_1", "tok-EN_1.thumbprint");
  EXPECT_EQ(read("tok-EN_1"), "tok-EN_1.thumbprint");
  fs::remove(folder_ / "tok-EN_1");
  EXPECT_EQ(read("tok-EN_1"), std::nullopt);
}

TEST_F(Challenges, TheFolderMayComeAndGo) {
  fs::remove_all(root_ / ".well-known");
  EXPECT_EQ(read("a"), std::nullopt);
  fs::create_directories(folder_);
  write(folder_ / "a", "x");
  EXPECT_EQ(read("a"), "x");
  fs::remove_all(root_);
  EXPECT_EQ(read("a"), std::nullopt);
}

TEST_F(Challenges, OnlyTokensNameAFile) {
  write(root_ / "secret", "s");
  write(folder_ / "a.b", "s");
  write(folder_ / ".hidden", "s");
  write(folder_ / std::string(128, 'a'), "long");
  write(folder_ / std::string(129, 'a'), "too long");
  for (const char* token : {"", ".", "..", "a.b", ".hidden", "../secret", "../../secret", "/etc/passwd", "a/b", "a b", "a%2fb",
                            "a\\b", "a+b", "a=", "a~", "ä"}) {
    EXPECT_EQ(read(token), std::nullopt) << token;
  }
  EXPECT_EQ(read(std::string_view("a\0b", 3)), std::nullopt);
  EXPECT_EQ(read(std::string(128, 'a')), "long");
  EXPECT_EQ(read(std::string(129, 'a')), std::nullopt);
}

TEST_F(Challenges, NoLinkIsFollowedBelowTheRoot) {
  write(root_ / "secret", "s");
  fs::create_symlink(root_ / "secret", folder_ / "link");
  EXPECT_EQ(read("link"), std::nullopt);
  const fs::path other = root_ / "elsewhere";
  fs::rename(folder_, other);
  write(other / "a", "x");
  fs::create_directory_symlink(other, folder_);
  EXPECT_EQ(read("a"), std::nullopt) << "acme-challenge is a link";
  fs::remove(folder_);
  fs::remove_all(root_ / ".well-known");
  fs::create_directories(root_ / "w" / "acme-challenge");
  write(root_ / "w" / "acme-challenge" / "a", "x");
  fs::create_directory_symlink(root_ / "w", root_ / ".well-known");
  EXPECT_EQ(read("a"), std::nullopt) << ".well-known is a link";
}

TEST_F(Challenges, TheRootItselfMayBeALink) {
  write(folder_ / "a", "x");
  const fs::path link = root_.string() + "-link";
  fs::create_directory_symlink(root_, link);
  EXPECT_EQ(read_challenge(link.string(), "a"), "x");
  fs::remove(link);
}

TEST_F(Challenges, OnlyRegularFilesAreReadAndNothingWaits) {
  fs::create_directory(folder_ / "folder");
  EXPECT_EQ(read("folder"), std::nullopt);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(read("pipe"), std::nullopt);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (folder_ / "sock").string();
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(read("sock"), std::nullopt);
  ::close(fd);
}

TEST_F(Challenges, AreAtMost64KiB) {
  write(folder_ / "fits", std::string(64 * 1024, 'x'));
  write(folder_ / "large", std::string(64 * 1024 + 1, 'x'));
  write(folder_ / "empty", "");
  EXPECT_EQ(read("fits")->size(), 64u * 1024);
  EXPECT_EQ(read("large"), std::nullopt);
  EXPECT_EQ(read("empty"), "");
}

// ---- the answer -------------------------------------------------------------------------------------------------------

struct Asked {
  explicit Asked(std::string_view target, std::string_view host = "gw.test", std::string_view method = "GET") {
    head.method = method;
    request.head = &head;
    request.target = *http::canonical_target(target);
    request.host = *http::parse_authority(host);
  }
  http::Head head;
  http::Request request;
};

TEST(Redirect, LeadsToTheSameUrlOverHttps) {
  config::ListenerSettings listener;
  EXPECT_FALSE(listener_answer(listener, Asked("/").request)) << "a listener that does not redirect";
  listener.redirect_port = 443;
  const auto location = [&](std::string_view target, std::string_view host) {
    const auto answer = listener_answer(listener, Asked(target, host).request);
    EXPECT_TRUE(answer);
    EXPECT_EQ(answer->status, 308);
    const std::size_t at = answer->octets.find("Location: ") + 10;
    return answer->octets.substr(at, answer->octets.find("\r\n", at) - at);
  };
  EXPECT_EQ(location("/a/b?x=1&y=%20", "gw.test"), "https://gw.test/a/b?x=1&y=%20");
  EXPECT_EQ(location("/", "GW.test:80"), "https://gw.test/");
  EXPECT_EQ(location("//evil.test/%2e%2e/x", "gw.test"), "https://gw.test/x");
  EXPECT_EQ(location("http://gw.test/abs", "gw.test"), "https://gw.test/abs");
  EXPECT_EQ(location("/?https://evil.test", "[2001:db8::1]:8080"), "https://[2001:db8::1]/?https://evil.test");
  listener.redirect_port = 8443;
  EXPECT_EQ(location("/x", "gw.test:8080"), "https://gw.test:8443/x");
}

TEST(Redirect, SaysNothingElse) {
  config::ListenerSettings listener;
  listener.redirect_port = 443;
  EXPECT_EQ(listener_answer(listener, Asked("/x").request)->octets,
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://gw.test/x\r\nX-Request-Id: \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST_F(Challenges, GoBeforeTheRedirect) {
  config::ListenerSettings listener;
  listener.redirect_port = 443;
  listener.acme_folder = root_.string();
  write(folder_ / "tok", "tok.print");
  const auto good = listener_answer(listener, Asked("/.well-known/acme-challenge/tok").request);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->status, 200);
  EXPECT_EQ(good->octets,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\nCache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\ntok.print");
  const auto head = listener_answer(listener, Asked("/.well-known/acme-challenge/tok", "gw.test", "HEAD").request);
  EXPECT_TRUE(head->octets.ends_with("\r\n\r\n"));
  EXPECT_NE(head->octets.find("Content-Length: 9"), std::string::npos);
  EXPECT_EQ(listener_answer(listener, Asked("/.well-known/acme-challenge/none").request)->status, 404);
  EXPECT_EQ(listener_answer(listener, Asked("/.well-known/acme-challenge/").request)->status, 404);
  EXPECT_EQ(listener_answer(listener, Asked("/.well-known/acme-challenge/tok", "gw.test", "POST").request)->status, 405);
  EXPECT_EQ(listener_answer(listener, Asked("/.well-known/acme-challenge").request)->status, 308);
  EXPECT_EQ(listener_answer(listener, Asked("/.well-known/acme-challenge/../other").request)->status, 308);
  listener.redirect_port = 0;
  EXPECT_FALSE(listener_answer(listener, Asked("/ws").request)) << "everything else is for the routes";
}

}  // namespace
}  // namespace sluice::session
