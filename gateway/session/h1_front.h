// H1Front: one client connection that speaks HTTP/1.1. Waits for a head, then lets one Session live on its stream; when that
// was a plain request that leaves the connection as it was, it waits for the next.
#pragma once

#include <memory>

#include "http/h1_parser.h"
#include "http/request.h"
#include "session/admission.h"
#include "session/ends.h"
#include "session/front.h"
#include "session/session.h"

namespace sluice::session {

class H1Front final : public StreamOwner {
 public:
  H1Front(House& house, Admission admission, std::unique_ptr<net::Stream> stream, std::shared_ptr<const Runtime> runtime,
          std::size_t listener, const Ends& ends, http::TlsFacts tls);
  ~H1Front() override;

  Step tick() override;
  void drain() override;
  void cut() override;
  bool kick(const Kick& kick) override;
  Result<bool> renew(std::string_view id, const policy::Authenticated& fresh, std::string_view by) override;
  void describe(JsonWriter& out, const ConnectionFilter& filter) const override;

 private:
  // What is needed to wait for heads; gone once the connection is a WebSocket.
  struct Waiting {
    std::shared_ptr<const Runtime> runtime;
    std::size_t listener;
    http::HeadParser parser;
    std::unique_ptr<Opening> opening;
    event::Timer timer;     // of the first head; later ones are looked at about once a second
    Instant deadline{};
    http::Request whence{};  // what every request of this connection has in common: addresses and TLS
    std::uint64_t answered = 0;
    bool rests = false;     // no octet of the next request has come
  };

  Step advance() override;
  Step read_head();
  void begin(std::optional<Error> bad);
  void watch_phase();
  Step next_request();
  bool renew();
  const config::ListenerSettings& settings() const {
    return *waiting_->runtime->listeners[waiting_->listener].compiled->settings;
  }

  Admission admission_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<Waiting> waiting_;
  std::unique_ptr<Session> session_;
};

}  // namespace sluice::session
