// Client: one WebSocket connection of the load generator, ws or wss, and the events that it reports.
//
// One receive of up to 256 KiB brings a turn's bytes, all frames of the turn are reported, then drained();
// what a turn sends is encrypted as a whole and leaves in one send. So the generator neither cuts messages
// into records on the wire by timing nor takes more of the machine than the proxy that it measures.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "blob.h"
#include "frame.h"
#include "options.h"
#include "poller.h"

namespace bench {

using Bytes = std::span<const std::uint8_t>;

// Where to connect and what to ask for; read from the options that all subcommands share.
struct Target {
  std::uint16_t port = 0;
  bool tls = false;
  std::vector<std::string> requests;  // whole upgrade requests; connections take them in turn
  std::string accept;    // the Sec-WebSocket-Accept that belongs to it
  unsigned sources = 1;  // source addresses 127.0.0.1, .2, ...: one has 28,000 ports
  static Target from(Options& options);
  const std::string& next_request() const { return requests[turn_++ % requests.size()]; }

 private:
  mutable std::size_t turn_ = 0;
};

// The TLS settings of all connections: TLS 1.3, AES-128-GCM, X25519, any certificate.
class TlsContext {
 public:
  TlsContext();
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  SSL* connect(SSL_SESSION* resume) const;

 private:
  SSL_CTX* context_;
  BIO_METHOD* method_;
};

class Client;

class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  virtual void opened(Client&) {}
  // A data frame has arrived whole; `prefix` is its first bytes, at most 125.
  virtual void message(Client&, std::uint64_t /*length*/, Bytes /*prefix*/) {}
  virtual void drained(Client&) {}
  virtual void closed(Client&, const std::string& why) = 0;
};

class Client final : public Pollable {
 public:
  // `events`, `poller` and `tls` outlive the client. `index` picks the source address.
  Client(Poller& poller, const TlsContext& tls, const Target& target, ClientEvents& events, unsigned index);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void open(bool resume = false);
  // Bytes that already are masked frames.
  void send(Bytes frames);
  // A TLS close_notify, then FIN. No event follows.
  void close();
  // A client that stops reading leaves everything to the kernel's buffers.
  void stop_reading() { reading_ = false; }
  bool is_open() const { return phase_ == Phase::kOpen; }
  bool resumed() const { return resumed_; }
  unsigned index() const { return index_; }
  void keep_session(SSL_SESSION* session);  // called by OpenSSL for each ticket

  void on_ready(std::uint32_t events) override;

 private:
  enum class Phase { kClosed, kConnecting, kTls, kUpgrade, kOpen };

  void connected();
  bool receive();
  bool decrypt(Bytes ciphertext);
  bool plain(Bytes bytes);
  std::size_t upgrade_answer(Bytes bytes);
  std::size_t frame(Bytes bytes);
  void frame_done();
  void pong();
  void write(Bytes bytes);
  bool flush();
  void lost(const std::string& why);
  void shut();

  Poller& poller_;
  const TlsContext& tls_;
  const Target& target_;
  ClientEvents& events_;
  unsigned index_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  SSL_SESSION* session_ = nullptr;
  Phase phase_ = Phase::kClosed;
  bool reading_ = true;
  bool resumed_ = false;
  Blob pending_;  // what the socket did not take
  std::string answer_;
  std::uint8_t head_bytes_[kMaxFrameHead] = {};
  std::size_t head_size_ = 0;
  bool in_payload_ = false;
  FrameHead head_;
  std::uint64_t payload_left_ = 0;
  std::uint8_t prefix_[125] = {};
  std::size_t prefix_size_ = 0;
};

// A masked binary frame of `size` bytes of payload, ready for send().
std::string masked_frame(std::size_t size);
// The first bytes of that payload.
Bytes payload_prefix(std::size_t size);
// The soft descriptor limit becomes the hard one.
void raise_file_limit();

}  // namespace bench
