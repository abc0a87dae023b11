// RawRecord: what the one access line of a plain TCP connection says (docs/reference/access-log.md: tcp_close), kept from its
// accept to its end.
#pragma once

#include <memory>
#include <string>

#include "http/request.h"
#include "session/leg.h"
#include "session/runtime.h"

namespace sluice::session {

class RawRecord {
 public:
  void begin(const http::Request& request, Instant now);

  Instant started{};
  Duration connect{};
  std::uint64_t octets_in = 0;
  std::uint64_t octets_out = 0;
  Error error{};
  Side first_end = Side::gateway;  // who ended first
  bool rate_limited = false;

  std::string_view id() const { return words_->id; }
  std::string_view client() const { return words_->client; }

 private:
  friend void log_raw_closing(const RawRecord&, const ListenerRuntime&, const Leg*, WallTime, Instant);
  struct Words {
    std::string id, client, peer, sni, subject, san;
    std::string_view tls_version;
    std::uint64_t client_port, tls_ms;
  };
  std::unique_ptr<const Words> words_;
};

// `leg`: the server that was tried last; null: none.
void log_raw_closing(const RawRecord& record, const ListenerRuntime& listener, const Leg* leg, WallTime wall, Instant now);

}  // namespace sluice::session
