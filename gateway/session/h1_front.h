// H1Front: one client connection that speaks HTTP/1.1. Waits for one head, then lets one Session live on its stream.
#pragma once

#include <memory>

#include "http/h1_parser.h"
#include "http/request.h"
#include "session/admission.h"
#include "session/front.h"
#include "session/session.h"

namespace sluice::session {

class H1Front final : public StreamOwner {
 public:
  H1Front(House& house, Admission admission, std::unique_ptr<net::Stream> stream, std::shared_ptr<const Runtime> runtime,
          std::size_t listener, const net::Address& peer, std::uint16_t local_port, http::TlsFacts tls);
  ~H1Front() override;

  Step tick() override;
  void drain() override;
  void cut() override;
  void describe(JsonWriter& out) const override;

 private:
  // What is needed until the head is complete.
  struct Waiting {
    std::shared_ptr<const Runtime> runtime;
    std::size_t listener;
    http::HeadParser parser;
    std::unique_ptr<Opening> opening;
    event::Timer timer;
    Instant deadline{};
  };

  Step advance() override;
  Step read_head();
  void begin(std::optional<Error> bad);

  Admission admission_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<Waiting> waiting_;
  std::unique_ptr<Session> session_;
};

}  // namespace sluice::session
