#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <utility>

namespace bench {
namespace {

constexpr std::size_t kChunk = 256 * 1024;
constexpr std::uint8_t kMask[4] = {0x37, 0xfa, 0x21, 0x3d};
constexpr std::size_t kMaxAnswer = 16 * 1024;

Bytes octets_of(const std::string& text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

// What the BIO of every connection reads from and writes to while one connection has its turn: no connection
// owns a buffer.
struct Wire {
  const std::uint8_t* in = nullptr;
  std::size_t in_left = 0;
  Blob out;
};

Wire& wire() {
  static Wire instance;
  return instance;
}

std::array<std::uint8_t, kChunk>& chunk() {
  static std::array<std::uint8_t, kChunk> bytes;
  return bytes;
}

int bio_read(BIO* bio, char* out, int size) {
  Wire& w = wire();
  BIO_clear_retry_flags(bio);
  if (w.in_left == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t n = std::min(static_cast<std::size_t>(size), w.in_left);
  std::memcpy(out, w.in, n);
  w.in += n;
  w.in_left -= n;
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  wire().out.append(bytes, static_cast<std::size_t>(size));
  return size;
}

long bio_ctrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

int new_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<Client*>(SSL_get_app_data(ssl))->keep_session(session);
  return 1;
}

std::string base64(const unsigned char* bytes, std::size_t n) {
  std::string encoded(4 * ((n + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), bytes, static_cast<int>(n));
  encoded.resize(static_cast<std::size_t>(size));
  return encoded;
}

std::string tls_error() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return std::string("TLS: ") + text;
}

std::uint8_t payload_byte(std::size_t i) { return static_cast<std::uint8_t>('a' + i % 23); }

}  // namespace

Target Target::from(Options& options) {
  Target target;
  target.port = options.number<std::uint16_t>("port", 0);
  if (target.port == 0) fail("--port is required");
  target.tls = options.number("tls", 0) != 0;
  target.sources = options.number("sources", 1U);
  // One key for all connections, so that one digest proves every answer.
  const std::uint64_t nonce[2] = {now_ns(), static_cast<std::uint64_t>(getpid())};
  const std::string key = base64(reinterpret_cast<const unsigned char*>(nonce), sizeof nonce);
  const std::string proof = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(proof.data()), proof.size(), digest);
  target.accept = base64(digest, sizeof digest);
  const std::string head = "GET " + options.text("path", "/echo") +
                   " HTTP/1.1\r\nHost: " + options.text("host", "localhost") +
                   "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + key +
                   "\r\nSec-WebSocket-Version: 13\r\n";
  // What stands before a token, as a field.
  const std::string field = options.text("credential", "Authorization: Bearer ");
  const std::string token = options.text("token", "");
  const std::string tokens = options.text("tokens", "");
  if (tokens.empty()) {
    target.requests.push_back(head + (token.empty() ? "" : field + token + "\r\n") + "\r\n");
  } else {
    std::ifstream file(tokens);
    for (std::string line; std::getline(file, line);) target.requests.push_back(head + field + line + "\r\n\r\n");
    if (target.requests.empty()) fail("no token in " + tokens);
  }
  return target;
}

TlsContext::TlsContext()
    : context_(SSL_CTX_new(TLS_client_method())), method_(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "turn")) {
  BIO_meth_set_read(method_, bio_read);
  BIO_meth_set_write(method_, bio_write);
  BIO_meth_set_ctrl(method_, bio_ctrl);
  BIO_meth_set_create(method_, bio_create);
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(context_, "X25519");
  SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, new_session);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  BIO_meth_free(method_);
}

SSL* TlsContext::connect(SSL_SESSION* resume) const {
  SSL* ssl = SSL_new(context_);
  BIO* bio = BIO_new(method_);
  if (ssl == nullptr || bio == nullptr) fail("SSL_new");
  SSL_set_bio(ssl, bio, bio);
  SSL_set_connect_state(ssl);
  if (resume != nullptr) SSL_set_session(ssl, resume);
  return ssl;
}

Client::Client(Poller& poller, const TlsContext& tls, const Target& target, ClientEvents& events,
               unsigned index)
    : poller_(poller), tls_(tls), target_(target), events_(events), index_(index) {}

Client::~Client() {
  shut();
  SSL_SESSION_free(session_);
}

void Client::open(bool resume) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail_errno("socket");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (target_.sources > 1) {
    setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index_ % target_.sources);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) fail_errno("bind");
  }
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(target_.port);
  phase_ = Phase::kConnecting;
  reading_ = true;
  answer_.clear();
  head_size_ = 0;
  in_payload_ = false;
  if (target_.tls) {
    ssl_ = tls_.connect(resume ? session_ : nullptr);
    SSL_set_app_data(ssl_, this);
  }
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 && errno != EINPROGRESS) {
    return lost(std::string("connect: ") + std::strerror(errno));
  }
  poller_.add(fd_, *this);
}

void Client::on_ready(std::uint32_t events) {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kConnecting) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lost(std::string("connect: ") + std::strerror(error));
    connected();
  }
  if (!flush()) return;
  while (reading_ && phase_ != Phase::kClosed && receive()) {
  }
}

void Client::connected() {
  phase_ = target_.tls ? Phase::kTls : Phase::kUpgrade;
  if (!target_.tls)
    return write(
        octets_of(target_.next_request()));
  SSL_do_handshake(ssl_);
  pending_.swap(wire().out);
}

// One receive and what follows from it; true when the socket may hold more.
bool Client::receive() {
  auto& bytes = chunk();
  const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (n < 0 && errno == EAGAIN) return false;
  if (n <= 0) {
    lost(n == 0 ? "connection closed" : std::strerror(errno));
    return false;
  }
  const Bytes received(bytes.data(), static_cast<std::size_t>(n));
  if (!(ssl_ != nullptr ? decrypt(received) : plain(received))) return false;
  if (phase_ == Phase::kOpen) events_.drained(*this);
  return static_cast<std::size_t>(n) == bytes.size();
}

bool Client::decrypt(Bytes ciphertext) {
  static std::array<std::uint8_t, kChunk> clear;
  Wire& w = wire();
  w.in = ciphertext.data();
  w.in_left = ciphertext.size();
  for (;;) {
    const int n = SSL_read(ssl_, clear.data(), static_cast<int>(clear.size()));
    const int error =
        n > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_, n);  // before a write touches the BIO's retry flags
    if (phase_ == Phase::kTls && SSL_is_init_finished(ssl_)) {
      resumed_ = SSL_session_reused(ssl_) != 0;
      phase_ = Phase::kUpgrade;
      write(octets_of(target_.next_request()));
      if (phase_ == Phase::kClosed) return false;
    }
    if (n <= 0) {
      if (error == SSL_ERROR_WANT_READ) break;
      lost(error == SSL_ERROR_ZERO_RETURN ? "TLS closed" : tls_error());
      return false;
    }
    if (!plain(Bytes(clear.data(), static_cast<std::size_t>(n)))) return false;
  }
  return wire().out.empty() || flush();
}

bool Client::plain(Bytes bytes) {
  while (!bytes.empty() && phase_ != Phase::kClosed) {
    bytes = bytes.subspan(phase_ == Phase::kOpen ? frame(bytes) : upgrade_answer(bytes));
  }
  return phase_ != Phase::kClosed;
}

std::size_t Client::upgrade_answer(Bytes bytes) {
  const std::size_t before = answer_.size();
  answer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t end = answer_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (answer_.size() > kMaxAnswer) lost("no end of the HTTP head");
    return bytes.size();
  }
  if (!answer_.starts_with("HTTP/1.1 101 ") || answer_.find(target_.accept) == std::string::npos) {
    lost("upgrade refused: " + answer_.substr(0, answer_.find('\r')));
    return bytes.size();
  }
  phase_ = Phase::kOpen;
  answer_ = std::string();
  events_.opened(*this);
  return end + 4 - before;
}

// Takes some of `bytes` into the frame under way.
std::size_t Client::frame(Bytes bytes) {
  std::size_t used = 0;
  if (!in_payload_) {
    while (used < bytes.size() && !in_payload_) {
      head_bytes_[head_size_++] = bytes[used++];
      in_payload_ = decode_head(head_bytes_, head_size_, head_) != 0;
    }
    if (!in_payload_) return used;
    payload_left_ = head_.length;
    prefix_size_ = 0;
  }
  const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, bytes.size() - used));
  const std::size_t copied = std::min(n, sizeof prefix_ - prefix_size_);
  std::memcpy(prefix_ + prefix_size_, bytes.data() + used, copied);
  prefix_size_ += copied;
  payload_left_ -= n;
  if (payload_left_ == 0) frame_done();
  return used + n;
}

void Client::frame_done() {
  in_payload_ = false;
  head_size_ = 0;
  switch (head_.opcode()) {
    case kPing: return pong();
    case kPong: return;
    case kClose: {
      const unsigned code = prefix_size_ >= 2 ? static_cast<unsigned>(load_be(prefix_, 2)) : 1005;
      return lost("Close " + std::to_string(code));
    }
    default: events_.message(*this, head_.length, Bytes(prefix_, prefix_size_));
  }
}

void Client::pong() {
  std::uint8_t frame[kMaxFrameHead + sizeof prefix_];
  const std::size_t head = encode_head(frame, 0x80 | kPong, prefix_size_, kMask);
  apply_mask(frame + head, prefix_, prefix_size_, kMask);
  write(Bytes(frame, head + prefix_size_));
}

void Client::send(Bytes frames) { write(frames); }

void Client::write(Bytes bytes) {
  if (ssl_ != nullptr) {
    if (SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) <= 0) fail("SSL_write");
    flush();
    return;
  }
  if (pending_.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  pending_.append(bytes.data(), bytes.size());
}

// Sends what waits and what the turn has encrypted; false when the connection is lost.
bool Client::flush() {
  Blob& out = wire().out;
  if (!out.empty()) {
    if (pending_.empty()) {
      pending_.swap(out);
    } else {
      pending_.append(out.data(), out.size());
    }
  }
  out.clear();
  while (!pending_.empty()) {
    const ssize_t n = ::send(fd_, pending_.data(), pending_.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return true;
    if (n < 0) {
      lost(std::string("send: ") + std::strerror(errno));
      return false;
    }
    pending_.consume(static_cast<std::size_t>(n));
  }
  // The storage goes round: the next turn encrypts into it, and an idle connection owns none.
  if (out.empty()) pending_.swap(out);
  return true;
}

void Client::keep_session(SSL_SESSION* session) {
  SSL_SESSION_free(session_);
  session_ = session;
}

void Client::close() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_)) {
    SSL_shutdown(ssl_);
    const Blob& out = wire().out;
    // Whether it arrives does not matter to anybody here.
    if (!out.empty()) [[maybe_unused]]
      const ssize_t ignored = ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
    wire().out.clear();
  }
  shut();
}

void Client::lost(const std::string& why) {
  shut();
  events_.closed(*this, why);
}

void Client::shut() {
  if (fd_ < 0) return;
  ::close(std::exchange(fd_, -1));
  // An SSL that is freed before it was shut down marks its session as not resumable.
  if (ssl_ != nullptr) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(std::exchange(ssl_, nullptr));
  pending_.release();
  phase_ = Phase::kClosed;
}

std::string masked_frame(std::size_t size) {
  std::string frame(kMaxFrameHead + size, '\0');
  auto* p = reinterpret_cast<std::uint8_t*>(frame.data());
  const std::size_t head = encode_head(p, 0x80 | kBinary, size, kMask);
  for (std::size_t i = 0; i < size; ++i) p[head + i] = payload_byte(i) ^ kMask[i & 3];
  frame.resize(head + size);
  return frame;
}

Bytes payload_prefix(std::size_t size) {
  static const auto bytes = [] {
    std::array<std::uint8_t, 125> prefix{};
    for (std::size_t i = 0; i < prefix.size(); ++i) prefix[i] = payload_byte(i);
    return prefix;
  }();
  return Bytes(bytes).first(std::min(size, bytes.size()));
}

void raise_file_limit() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace bench
