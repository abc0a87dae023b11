#include "net/connector.h"

#include <cerrno>

#include "net/tcp_stream.h"
#include "net/tls_client.h"
#include "net/tls_stream.h"

namespace sluice::net {

namespace {

// Bounds what the kernel may hold of a fast upstream for a slow client (docs/explanation/performance.md).
constexpr SocketBounds kUpstreamBounds{.receive_buffer = 256 * 1024};

class SocketConnector final : public Connector {
 public:
  SocketConnector(const Place& place, const Address& address, const Way& way, Ready& ready) {
    int error = 0;
    Fd fd = connect_to(address, kUpstreamBounds, error);
    if (!fd) {
      const bool exhausted = error == EMFILE || error == ENFILE;
      error_ = {exhausted ? Errc::fd_limit : Errc::be_connect, Side::upstream, false, "connect failed"};
      return;
    }
    if (!address.is_unix()) set_options(fd.get(), way.socket);
    if (way.tls) {
      speaks_first_ = !way.tls->http();
      auto stream = std::make_unique<TlsStream>(place, std::move(fd), way.tls->connect(way.name), true);
      tls_ = stream.get();
      stream_ = std::move(stream);
    } else {
      stream_ = std::make_unique<TcpStream>(place, std::move(fd), true);
    }
    stream_->set_ready(&ready);
  }

  void send_first(std::string octets) override { first_ = std::move(octets); }
  Io advance() override {
    if (!stream_) return Io::error;
    if (!connected_) {
      if (stream_->jammed()) return Io::blocked;
      if (socket_error(stream_->fd()) != 0) return fail(Errc::be_connect, "connection refused or unreachable");
      connected_ = true;
    }
    if (!first_.empty()) {
      std::size_t taken = 0;
      const Io io = stream_->send_ahead(as_bytes(first_), taken);
      first_.erase(0, taken);
      if (io == Io::blocked) return io;
      if (io != Io::ok) return fail(Errc::be_connect, "lost before the PROXY header was sent");
    }
    return tls_ ? handshake() : Io::ok;
  }
  Error error() const override { return error_; }
  bool connected() const override { return connected_; }
  std::unique_ptr<Stream> take() override { return std::move(stream_); }

 private:
  Io fail(Errc code, const char* detail) {
    error_ = {code, Side::upstream, false, detail};
    return Io::error;
  }

  Io handshake() {
    std::size_t taken = 0;
    while (!tls_->established()) {
      if (tls_->write({}, taken) == Io::error) return fail(Errc::be_tls, "TLS handshake with the upstream");
      if (tls_->established()) break;
      const Io io = tls_->fill();
      tls_->settle();
      if (io == Io::blocked) return io;
      if (io != Io::ok) return fail(Errc::be_tls, "TLS handshake with the upstream");
    }
    tls_->settle();
    // Data before anything was asked is not an answer to us.
    if (!speaks_first_ && !tls_->received().empty()) return fail(Errc::be_preface_data, "data before the request");
    return Io::ok;
  }

  std::unique_ptr<SocketStream> stream_;
  TlsStream* tls_ = nullptr;
  std::string first_;  // what is left of it
  Error error_{};
  bool connected_ = false;
  bool speaks_first_ = false;
};

}  // namespace

std::unique_ptr<Connector> connect_socket(const Place& place, const Address& address, const Way& way, Ready& ready) {
  return std::make_unique<SocketConnector>(place, address, way, ready);
}

}  // namespace sluice::net
