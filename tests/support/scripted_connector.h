// ScriptedConnector: one outbound attempt by script; and the choice of what a simulated stream is made of.
#pragma once

#include <memory>

#include "net/connector.h"
#ifdef SLUICE_SIM_SOCKETS
#include "support/socket_wire_stream.h"
#else
#include "support/memory_stream.h"
#endif

namespace sluice::test {

// The stream that a house gives to the gateway at a wire's near end.
inline std::unique_ptr<net::Stream> stream_on(const net::Place& place, Wire& wire) {
#ifdef SLUICE_SIM_SOCKETS
  return std::make_unique<SocketWireStream>(place, wire, loopback_pair());
#else
  return std::make_unique<MemoryStream>(place, wire);
#endif
}

class ScriptedConnector final : public net::Connector {
 public:
  enum class Script { accept, refuse, hang, tls, preface, fds };

  // `answered`: the network has answered and the edge that says so has been delivered.
  ScriptedConnector(const net::Place& place, Wire& wire, const Script& script, const bool& answered, net::Ready& ready)
      : place_(place), wire_(wire), script_(script), answered_(answered), ready_(ready) {}
  ~ScriptedConnector() override {
    if (!taken_) wire_.closed = true;
  }

  void send_first(std::string octets) override { first_ = std::move(octets); }
  Io advance() override {
    if (!answered_) return Io::blocked;
    switch (script_) {
      case Script::accept: break;
      case Script::hang: return Io::blocked;
      case Script::refuse: return fail(Errc::be_connect);
      case Script::tls: return fail(Errc::be_tls);
      case Script::preface: return fail(Errc::be_preface_data);
      case Script::fds: return fail(Errc::fd_limit);
    }
    const Faults::Kind fault = wire_.faults.strike();
    if (fault == Faults::Kind::error || fault == Faults::Kind::end) return fail(Errc::be_connect);
    return Io::ok;
  }
  Error error() const override { return error_; }
  bool connected() const override { return answered_ && (script_ == Script::accept || script_ == Script::tls); }
  std::unique_ptr<net::Stream> take() override {
    taken_ = true;
    wire_.out += first_;  // it has left before there was a stream
    std::unique_ptr<net::Stream> stream = stream_on(place_, wire_);
    stream->set_ready(&ready_);
    return stream;
  }

 private:
  Io fail(Errc code) {
    error_ = {code, Side::upstream, false, "as the script says"};
    return Io::error;
  }

  const net::Place& place_;
  Wire& wire_;
  const Script& script_;
  const bool& answered_;
  net::Ready& ready_;
  std::string first_;
  Error error_{};
  bool taken_ = false;
};

}  // namespace sluice::test
