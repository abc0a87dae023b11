// SocketHouse: the same sessions over real sockets: loopback TCP, with or without TLS at each side, on a real loop and clock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/tls_client.h"
#include "net/tls_profile.h"
#include "net/tls_stream.h"
#include "session/arrival.h"
#include "support/stream_pair.h"
#include "support/test_house.h"
#include "support/ws_peer.h"

namespace sluice::test {

// The far end of a socket: everything that comes is read at once.
class SocketEnd final : public FarEnd {
 public:
  explicit SocketEnd(std::unique_ptr<net::Stream> stream) : holder(std::move(stream)) {}

  void send(std::string_view octets) override { holder.say(octets); }
  std::string take() override { return std::exchange(holder.in, {}); }
  bool ended() const override { return (holder.ended || holder.failed) && holder.in.empty(); }
  bool cut() const override { return holder.failed; }
  void finish() override {
    holder.finishes = true;
    holder.work();
  }
  void reset() override { holder.stream->abort(); }

  Holder holder;
};

struct SocketPeer {
  SocketPeer(std::unique_ptr<net::Stream> stream, WsPeer::Role role) : end(std::move(stream)), peer(end, role) {}
  SocketEnd end;
  WsPeer peer;
};

inline const net::CertificateSettings& sim_certificate() {
  static const net::CertificateSettings made = net::self_signed_certificate({"gw.test", "127.0.0.1"});
  return made;
}

class SocketHouse final : public TestHouse {
 public:
  // `settings`: with TLS on the listener when `tls`; the upstreams' URLs say wss for TLS there.
  SocketHouse(config::Settings settings, bool tls) : TestHouse(nullptr, std::move(settings)), tls_(tls) {
    std::string why;
    net::TlsSettings server;
    server.certificates = {sim_certificate()};
    upstream_profile_ = net::TlsProfile::make(crypto_, server, net::fresh_ticket_keys(), why);
    client_ = net::TlsClient::make(crypto_, {sim_certificate().certificate, {}, {}}, why);
    if (!upstream_profile_ || !client_) throw std::runtime_error(why);
  }
  ~SocketHouse() override {
    bury();
    clients_.clear();
    upstreams_.clear();
  }

  std::function<void(WsPeer&)> on_upstream;

  SocketPeer& connect() {
    auto [near, far] = loopback_pair();
    const net::Address peer = net::local_address(far.get());
    clients_.push_back(std::make_unique<SocketPeer>(stream(std::move(far), tls_ ? client_->connect("gw.test") : nullptr),
                                                    WsPeer::Role::client));
    adopt(session::receive(*this, admit(), std::move(near), runtime_, 0, peer));
    return *clients_.back();
  }
  SocketPeer& upstream(std::size_t index) { return *upstreams_.at(index); }
  std::size_t dials() const { return upstreams_.size(); }

  bool until(const std::function<bool()>& so) {
    return run_until(loop_, [&] {
      for (const auto& client : clients_) client->peer.poll();
      for (const auto& one : upstreams_) one->peer.poll();
      for_each([](session::StreamOwner& owner) {
        if (owner.tick() == Step::next) owner.wake();
      });
      return so();
    });
  }

 private:
  // Connects to a listener of this very loop, whose accepted end becomes the upstream of the test.
  std::unique_ptr<net::Connector> dial(const net::Address&, const net::Way& way, net::Ready& ready) override {
    int error = 0;
    const net::Fd listener = net::listen_on(*net::Address::parse("127.0.0.1", 0), error);
    auto connector = net::connect_socket(place_, net::local_address(listener.get()), way, ready);
    net::Fd fd;
    while (!fd) {
      net::Address peer;
      fd = net::accept_from(listener.get(), peer, error);
    }
    upstreams_.push_back(std::make_unique<SocketPeer>(
        stream(std::move(fd), way.tls ? upstream_profile_->accept() : nullptr), WsPeer::Role::server));
    if (on_upstream) on_upstream(upstreams_.back()->peer);
    return connector;
  }
  std::unique_ptr<net::Stream> stream(net::Fd fd, ssl_st* ssl) {
    if (ssl) return std::make_unique<net::TlsStream>(place_, std::move(fd), ssl, false);
    return std::make_unique<net::TcpStream>(place_, std::move(fd), false);
  }

  bool tls_;
  std::unique_ptr<net::TlsProfile> upstream_profile_;
  std::unique_ptr<net::TlsClient> client_;
  std::vector<std::unique_ptr<SocketPeer>> clients_;
  std::vector<std::unique_ptr<SocketPeer>> upstreams_;
};

}  // namespace sluice::test
