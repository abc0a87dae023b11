#include "session/listener_answer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "http/h1_writer.h"
#include "net/socket.h"

namespace sluice::session {

namespace {

constexpr std::string_view kChallenges = "/.well-known/acme-challenge/";
constexpr std::size_t kMostToken = 128;
constexpr std::size_t kMostChallenge = 64 * 1024;

// RFC 8555 §8.3: octets of the base64url alphabet. So it is one name in one folder: neither a slash nor a dot is in it.
bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= kMostToken && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

net::Fd open_folder(int at, const char* name, int more) {
  return net::Fd(::openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | more));
}

ListenerAnswer refused(Errc code, const char* detail) {
  return {row(code).status, {}, Error{code, Side::client, false, detail}};
}

ListenerAnswer challenge_answer(const config::ListenerSettings& listener, const http::Request& request) {
  if (request.head->method != "GET" && request.head->method != "HEAD") return refused(Errc::method, "no GET of a challenge");
  const auto content = read_challenge(listener.acme_folder, request.target.path.substr(kChallenges.size()));
  if (!content) return refused(Errc::no_route, "there is no such challenge");
  http::HeadWriter head;
  head.response(200);
  head.field("Content-Type", "text/plain");
  head.field("Content-Length", static_cast<std::uint64_t>(content->size()));
  head.field("Cache-Control", "no-store");
  head.field("X-Content-Type-Options", "nosniff");
  head.field("Connection", "close");
  auto text = head.finish();
  check(text.has_value(), "an answer of our own holds a forbidden octet");
  return {200, request.head->method == "HEAD" ? *text : *text + *content, {}};
}

ListenerAnswer redirect_answer(const config::ListenerSettings& listener, const http::Request& request) {
  std::string location = "https://" + request.host.host;
  if (listener.redirect_port != 443) location += ":" + std::to_string(listener.redirect_port);
  location += request.target.text();
  http::HeadWriter head;
  head.response(308);
  head.field("Location", location);
  head.field("X-Request-Id", request.id);
  head.field("Content-Length", std::uint64_t{0});
  head.field("Connection", "close");
  auto text = head.finish();
  // Host and target were checked octet by octet; should anything be left, nothing of it may leave.
  if (!text) return refused(Errc::internal, "a Location that no head may hold");
  return {308, std::move(*text), {}};
}

}  // namespace

std::optional<ListenerAnswer> listener_answer(const config::ListenerSettings& listener, const http::Request& request) {
  if (!listener.acme_folder.empty() && request.target.path.starts_with(kChallenges)) {
    return challenge_answer(listener, request);
  }
  if (listener.redirect_port != 0) return redirect_answer(listener, request);
  return std::nullopt;
}

std::optional<std::string> read_challenge(const std::string& webroot, std::string_view token) {
  if (!is_token(token)) return std::nullopt;
  // The webroot is the operator's word and may be a link; below it none is followed.
  const net::Fd root = open_folder(AT_FDCWD, webroot.c_str(), 0);
  if (!root) return std::nullopt;
  const net::Fd well_known = open_folder(root.get(), ".well-known", O_NOFOLLOW);
  if (!well_known) return std::nullopt;
  const net::Fd folder = open_folder(well_known.get(), "acme-challenge", O_NOFOLLOW);
  if (!folder) return std::nullopt;
  const net::Fd file(::openat(folder.get(), std::string(token).c_str(),
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat facts{};
  if (!file || ::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return std::nullopt;
  // One octet more than may be: a file that is larger is refused, not cut.
  std::string content(kMostChallenge + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t n = ::read(file.get(), content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > kMostChallenge) return std::nullopt;
  content.resize(size);
  return content;
}

}  // namespace sluice::session
