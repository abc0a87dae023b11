// AdminConnection: one client of the admin listener: one head in, a command's body too, one answer out, then the end. Sans policy:
// who may ask what is AdminGuard's.
#pragma once

#include <cstdint>
#include <string>

#include "event/timer.h"
#include "http/h1_parser.h"
#include "net/tcp_stream.h"
#include "server/admin.h"

namespace sluice::server {

class AdminConnection final : private net::Ready {
 public:
  AdminConnection(Admin& admin, std::uint64_t id, net::Fd fd, const net::Address& peer);

  // Runs until there is nothing to do. May retire this object (freed at the end of the pass).
  void wake();
  // The answer to a question that other threads were asked.
  void answer_later(AdminReply reply);
  bool reading() const { return phase_ == Phase::read || phase_ == Phase::body; }

 private:
  // read → (body → | ask →) write → linger → done
  enum class Phase : std::uint8_t { read, body, ask, write, linger, done };
  struct Answer {
    int status = 200;
    std::string_view type = "application/json";
    std::string body;
    std::string_view allow = {};
  };

  void on_ready() override { wake(); }
  Step advance();
  Step read();
  Step read_body();
  Step write();
  Step linger();
  void judge(const http::Head& head);
  void tell(const AdminQuestion& question);
  void obey();
  std::string who() const { return peer_.is_unix() ? "unix" : peer_.ip(); }
  void refuse(const AdminRefusal& refusal);
  void refuse(int status, std::string_view error) { refuse(AdminRefusal{status, error}); }
  void answer(const Answer& answer);
  void late();
  void end();

  Admin& admin_;
  std::uint64_t id_;
  net::Address peer_;
  net::Address local_;
  net::TcpStream stream_;
  event::Timer deadline_;
  http::HeadParser parser_;
  Phase phase_ = Phase::read;
  AdminQuestion command_;  // whose body comes
  std::string body_;
  bool head_only_ = false;
  bool heard_ = false;  // an octet has arrived
  std::string out_;
  std::size_t sent_ = 0;
  std::size_t swallowed_ = 0;  // octets that came after the head
};

}  // namespace sluice::server
