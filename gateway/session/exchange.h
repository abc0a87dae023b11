// Exchange: one plain HTTP request and its answer between a client's stream and an upstream's: the request's head and
// body up, interim answers, head and body down, both directions at once. Owned by a Session from the moment that a server
// is to be chosen; begin() starts it anew on each stream that is tried. It owns no stream, never retries and logs nothing.
//
//     up:    our head ─▶ body ─▶ done                          (session/body_relay.h)
//     down:  head in ─▶ [1xx on]* ─▶ our head ─▶ body ─▶ done
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/recycled.h"
#include "config/settings.h"
#include "http/h1_parser.h"
#include "session/body_relay.h"
#include "session/front.h"
#include "session/opening.h"

namespace sluice::session {

class Exchange : public Recycled<Exchange> {
 public:
  // What the request asks of the connection that it came on.
  struct Terms {
    bool keep = false;   // further requests may follow on the client's connection
    bool chunks = true;  // the client is HTTP/1.1: it may be sent chunks and interim answers
  };
  Exchange(House& house, net::Stream& client, const Opening& opening, const Terms& terms,
           const config::RouteSettings& route);

  // A new attempt: `head` goes up first and lives as long as the attempt. `reused`: others were served on `upstream`.
  void begin(net::Stream& upstream, std::string_view head, Instant born, bool reused);

  enum class State : std::uint8_t { running, done, failed };
  State advance();
  // Looked at about once a second; failed when somebody took too long.
  State tick();

  const Error& error() const { return error_; }
  bool spent() const { return spent_; }
  // An octet has been sent to the client: nothing else may be answered any more.
  bool forwarded() const { return interim_sent_ || (down_ && down_->begun()); }
  // The request can be sent once more: nothing of its body has gone, and nothing of an answer has come.
  bool repeatable() const { return !heard_ && up_->octets() == 0; }
  // The server may have acted upon it: an octet of its head has left.
  bool asked() const { return up_->begun(); }
  bool reused() const { return reused_; }
  int status() const { return status_; }
  std::uint64_t request_octets() const { return up_ ? up_->octets() : 0; }
  std::uint64_t answer_octets() const { return down_ ? down_->octets() : 0; }
  std::size_t answer_head() const { return answer_.size(); }
  // The client was told, or can tell, that a further request may follow.
  // The client sees for itself when the answer is cut short.
  bool delimited() const { return !open_ended_; }
  bool keeps_client() const { return state_ == State::done && keeps_client_; }
  // The upstream stands between two answers; for how long it may rest, by its own word.
  bool keeps_upstream() const;
  std::optional<Duration> upstream_rests() const { return rests_; }
  Instant upstream_born() const { return born_; }

 private:
  void advance_up();
  void read_head();
  bool take_head(std::size_t size);
  bool interim(std::size_t size);
  void advance_down();
  void watch_client();
  void fail_with(Error error);
  bool client_waits_for_leave() const;
  void tick_up(Instant time);
  void tick_down(Instant time);

  House& house_;
  net::Stream& client_;
  net::Stream* upstream_ = nullptr;
  const Opening& opening_;
  const config::RouteSettings& route_;
  const config::HttpSettings& rules_;
  const Terms terms_;

  std::optional<BodyRelay> up_;
  std::optional<BodyRelay> down_;  // from the final head on
  http::HeadParser parser_{http::HeadParser::Kind::response};
  http::Head head_;
  std::string interim_;            // interim answers that wait to leave
  std::string answer_;             // our head of the final answer
  Error error_{};
  Instant born_{};                 // of the upstream's connection
  Instant last_up_{};
  Instant last_down_{};
  std::optional<Duration> rests_;
  std::size_t undelivered_ = 0;
  int status_ = 0;
  unsigned interims_ = 0;
  State state_ = State::running;
  bool reused_ = false;
  bool spent_ = false;
  bool up_done_ = false;           // the whole request has left
  bool up_dead_ = false;           // the upstream takes no more of it
  bool heard_ = false;
  bool interim_sent_ = false;
  bool persistent_ = false;        // the upstream's connection may serve again
  bool keeps_client_ = false;
  bool client_ended_ = false;
  bool open_ended_ = false;        // the end of the connection is the end of the answer
};

}  // namespace sluice::session
