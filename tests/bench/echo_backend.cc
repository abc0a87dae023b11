// sluice_echo: the backend of the benchmark. A WebSocket server on one thread that costs as little as it can.
//
//   sluice_echo --port P [--mode echo|flood|sink|tcp] [--rate BYTES/S] [--message BYTES]
//
// echo   each frame goes back, unmasked, once it is whole; all frames of one wake-up leave in one send
// flood  from a client's first message on it is sent `rate` bytes a second as messages of `message` bytes,
// each of which
//        opens with its number and the time it was made (two big-endian 64-bit values); see stall.cc
// sink   everything is read and dropped
// tcp    no WebSocket at all: every octet goes back
//
// A client that does not read is not read from either: what it is owed stays at 64 KiB, plus the message
// under way.
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "blob.h"
#include "frame.h"
#include "options.h"
#include "poller.h"

namespace bench {
namespace {

enum class Mode { kEcho, kFlood, kSink, kTcp };

constexpr std::size_t kChunk = 256 * 1024;
constexpr std::size_t kMaxHead = 16 * 1024;
constexpr std::uint64_t kMaxFrame = 64 * 1024 * 1024;
constexpr std::size_t kMaxOwed = 64 * 1024;

class Connection;

struct Server {
  Mode mode = Mode::kEcho;
  std::uint64_t rate = 4'000'000;
  std::size_t message = 16 * 1024;
  Poller poller;
  Blob chunk;  // what one receive brought, shared by all connections
  Blob out;    // what one turn answers, shared as well
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections;
  std::vector<std::unique_ptr<Connection>> closed;  // freed when the poll pass is over
};

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §4.2.2
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  unsigned char encoded[32];
  const int n = EVP_EncodeBlock(encoded, digest, sizeof digest);
  return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(n)};
}

// The value of a header field; the last line of `head` is empty.
std::string_view field(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    if (strncasecmp(line.data(), name.data(), name.size()) != 0) continue;
    std::string_view value = line.substr(name.size() + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
    return value;
  }
  return {};
}

class Connection final : public Pollable {
 public:
  Connection(Server& server, int fd) : server_(server), fd_(fd) {}
  ~Connection() override { ::close(fd_); }

  void on_ready(std::uint32_t) override {
    while (!closed_) {
      if (!flush()) return;
      if (ending_) return close();
      const Answer answer = receive();
      if (answer == Answer::kNothing) return;
      if (answer == Answer::kEnd) return close();
      send_turn();
      if (answer == Answer::kShort && owed_.empty() && !ending_) return;
    }
  }

  // Sends what the rate allows up to `now`; a jammed client catches up later, nothing is skipped.
  void flood(std::uint64_t now) {
    if (flood_start_ == 0 || closed_ || !flush()) return;
    const std::uint64_t due = (now - flood_start_) / 1000 * server_.rate / 1'000'000;
    while (flooded_ + server_.message <= due && server_.out.size() < kMaxOwed) {
      std::uint8_t* p = server_.out.tail(kMaxFrameHead + server_.message);
      const std::size_t head = encode_head(p, 0x80 | kBinary, server_.message, nullptr);
      store_be(p + head, sequence_++, 8);
      store_be(p + head + 8, now, 8);
      std::memset(p + head + 16, 'f', server_.message - 16);
      server_.out.added(head + server_.message);
      flooded_ += server_.message;
    }
    send_turn();
  }

 private:
  enum class Answer { kNothing, kShort, kFull, kEnd };

  Answer receive() {
    Blob& into = kept_.empty() ? server_.chunk : kept_;
    if (kept_.empty()) into.clear();
    const std::size_t room = wanted_ > kept_.size() + kChunk ? wanted_ - kept_.size() : kChunk;
    const ssize_t n = ::recv(fd_, into.tail(room), room, 0);
    if (n == 0) return Answer::kEnd;
    if (n < 0) return errno == EAGAIN ? Answer::kNothing : Answer::kEnd;
    into.added(static_cast<std::size_t>(n));
    const std::size_t used = read(into.data(), into.size());
    into.consume(used);
    if (&into == &server_.chunk && !into.empty()) kept_.append(into.data(), into.size());
    if (kept_.empty() && wanted_ == 0) kept_.release();
    return static_cast<std::size_t>(n) < room ? Answer::kShort : Answer::kFull;
  }

  std::size_t read(const std::uint8_t* p, std::size_t n) {
    std::size_t used = 0;
    wanted_ = 0;
    if (server_.mode == Mode::kTcp) {
      server_.out.append(p, n);
      return n;
    }
    if (!upgraded_) {
      used = upgrade(std::string_view(reinterpret_cast<const char*>(p), n));
      if (!upgraded_) return used;
    }
    while (!ending_) {
      FrameHead head;
      const std::size_t head_size = decode_head(p + used, n - used, head);
      if (head_size == 0) break;
      if (head.length > kMaxFrame || !head.masked) {  // RFC 6455 §5.1: a client masks
        ending_ = true;
        break;
      }
      const std::size_t size = head_size + static_cast<std::size_t>(head.length);
      if (n - used < size) {
        wanted_ = size;
        break;
      }
      answer(head, p + used + head_size);
      used += size;
    }
    return used;
  }

  std::size_t upgrade(std::string_view received) {
    const std::size_t end = received.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      ending_ = received.size() > kMaxHead;
      return 0;
    }
    const std::string_view key = field(received.substr(0, end + 4), "Sec-WebSocket-Key");
    std::string reply = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (key.empty()) {
      ending_ = true;
    } else {
      upgraded_ = true;
      reply =
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
          "Upgrade\r\nSec-WebSocket-Accept: " +
          accept_of(key) + "\r\n\r\n";
    }
    server_.out.append(reply.data(), reply.size());
    return end + 4;
  }

  void answer(const FrameHead& head, const std::uint8_t* payload) {
    const std::uint8_t opcode = head.opcode();
    const bool control = opcode >= kClose;
    if (opcode == kPong) return;
    if (!control && server_.mode == Mode::kFlood && flood_start_ == 0) flood_start_ = now_ns();
    if (!control && server_.mode != Mode::kEcho) return;
    const std::uint8_t first = opcode == kPing ? 0x80 | kPong : head.first;
    const std::size_t length = static_cast<std::size_t>(head.length);
    std::uint8_t* out = server_.out.tail(kMaxFrameHead + length);
    const std::size_t size = encode_head(out, first, length, nullptr);
    apply_mask(out + size, payload, length, head.mask);
    server_.out.added(size + length);
    ending_ = ending_ || opcode == kClose;
  }

  // False while something still waits to leave, and when the connection is lost.
  bool flush() {
    if (owed_.empty()) return true;
    return send_from(owed_) && owed_.empty();
  }

  void send_turn() {
    if (server_.out.empty()) return;
    send_from(server_.out);
    if (!server_.out.empty()) owed_.swap(server_.out);
    server_.out.clear();
  }

  bool send_from(Blob& bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) return true;
      if (n < 0) {
        bytes.clear();
        close();
        return false;
      }
      bytes.consume(static_cast<std::size_t>(n));
    }
    if (&bytes == &owed_) owed_.release();
    return true;
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    const auto found = server_.connections.find(this);
    server_.closed.push_back(std::move(found->second));
    server_.connections.erase(found);
  }

  Server& server_;
  int fd_;
  bool upgraded_ = false;
  bool ending_ = false;  // close once everything has left
  bool closed_ = false;
  std::size_t wanted_ = 0;  // the size of the frame that kept_ begins with
  Blob kept_;               // the beginning of a frame
  Blob owed_;               // what the socket did not take
  std::uint64_t flood_start_ = 0;
  std::uint64_t flooded_ = 0;
  std::uint64_t sequence_ = 0;
};

class Listener final : public Pollable {
 public:
  Listener(Server& server, std::uint16_t port) : server_(server) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) fail_errno("bind");
    if (::listen(fd_, 4096) < 0) fail_errno("listen");
    server.poller.add(fd_, *this, EPOLLIN);
  }

  void on_ready(std::uint32_t) override {
    for (int i = 0; i < 64; ++i) {
      const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto connection = std::make_unique<Connection>(server_, fd);
      server_.poller.add(fd, *connection);
      Connection* const key = connection.get();
      server_.connections.emplace(key, std::move(connection));
    }
  }

 private:
  Server& server_;
  int fd_;
};

class FloodTimer final : public Pollable {
 public:
  explicit FloodTimer(Server& server) : server_(server), fd_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) {
    constexpr itimerspec kEvery2ms = {{0, 2'000'000}, {0, 2'000'000}};
    if (fd_ < 0 || timerfd_settime(fd_, 0, &kEvery2ms, nullptr) < 0) fail_errno("timerfd");
    server.poller.add(fd_, *this, EPOLLIN);
  }

  void on_ready(std::uint32_t) override {
    std::uint64_t expirations = 0;
    if (::read(fd_, &expirations, sizeof expirations) < 0) return;
    std::vector<Connection*> all;  // a lost connection leaves the table while it is walked
    for (const auto& entry : server_.connections) all.push_back(entry.first);
    for (Connection* connection : all) connection->flood(now_ns());
  }

 private:
  Server& server_;
  int fd_;
};

int run(int argc, char** argv) {
  Options options(argc, argv, 1);
  Server server;
  const std::string mode = options.text("mode", "echo");
  if (mode == "flood") {
    server.mode = Mode::kFlood;
  } else if (mode == "sink") {
    server.mode = Mode::kSink;
  } else if (mode == "tcp") {
    server.mode = Mode::kTcp;
  } else if (mode != "echo") {
    fail("--mode is echo, flood, sink or tcp");
  }
  server.rate = options.number<std::uint64_t>("rate", server.rate);
  server.message = options.number<std::size_t>("message", server.message);
  if (server.message < 16 || server.message > kMaxOwed) fail("--message is 16 to 65536");
  const auto port = options.number<std::uint16_t>("port", 9001);
  options.finish();

  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // large buffers come and go: keep their pages
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  signal(SIGPIPE, SIG_IGN);
  const Listener listener(server, port);
  std::unique_ptr<FloodTimer> timer;
  if (server.mode == Mode::kFlood) timer = std::make_unique<FloodTimer>(server);
  for (;;) {
    server.poller.poll(-1);
    server.closed.clear();
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run(argc, argv); }
