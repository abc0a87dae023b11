// Endpoint: one request to one of the paths that the gateway answers itself ([auth.NAME.endpoints]), from its head to its
// answer. Owned by the Opening of one Session, which authenticates the client in between (Session::serve).
//
//     judge (Origin, preflight, method, length) → authenticate, where it is asked for → read the body → the errand → answer
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/h1_body.h"
#include "session/errand.h"
#include "session/front.h"
#include "session/opening.h"

namespace sluice::session {

class Endpoint {
 public:
  // `rules` is of that snapshot, and lives as long as the runtime of the session.
  Endpoint(House& house, net::Ready& ready, net::Stream& client, std::shared_ptr<const config::Snapshot> snapshot,
           const EndpointRuntime& rules)
      : house_(house), ready_(ready), client_(client), snapshot_(std::move(snapshot)), rules_(rules) {}

  // The endpoint that the request is for; null: there is none on that listener, host and path.
  static const EndpointRuntime* find(const Runtime& runtime, const std::string& listener, const http::Request& request);

  // The head alone. Errors: origin, method, body_too_large.
  Result<void> judge(Opening& opening);
  // Who it is, where somebody was to be authenticated. Errors: revoked.
  Result<void> judge_identity(Opening& opening) const;
  // true: opening.out is the answer; false: the rest of the body or the errand's result will come, or deadline() pass. Errors:
  // framing, body_too_large, body_timeout, client_lost, and those of the errand.
  Result<bool> advance(Opening& opening);
  // Nobody waits for the errand any more.
  void give_up() { errand_.reset(); }
  Instant deadline() const { return errand_ ? errand_->deadline() : deadline_; }

  // Who is to say that the client may ask; null: that is seen from the body, or not asked.
  const policy::Authenticator* authenticator() const;
  // Nothing more of the client's is read: should it leave now, nobody waits for the answer.
  bool read() const { return errand_ != nullptr; }
  int status() const { return status_; }
  // The client was told that a further request may follow.
  bool keeps_client() const { return keeps_client_; }

 private:
  Result<bool> read_body(Opening& opening);
  Result<bool> read_some();
  Result<void> invite(const Opening& opening);
  std::unique_ptr<Errand> begin(Opening& opening);
  void answer_preflight(Opening& opening);
  void answer(Opening& opening, int status, std::string_view body);
  std::size_t most() const;

  House& house_;
  net::Ready& ready_;
  net::Stream& client_;
  std::shared_ptr<const config::Snapshot> snapshot_;
  const EndpointRuntime& rules_;
  std::optional<http::BodyReader> reader_;  // once the head has been taken from the stream
  std::string body_;
  std::unique_ptr<Errand> errand_;
  Instant deadline_ = kNever;
  bool preflight_ = false;
  int status_ = 0;
  bool keeps_client_ = false;
};

}  // namespace sluice::session
