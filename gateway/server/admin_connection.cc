#include "server/admin_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/json.h"
#include "base/log.h"
#include "http/h1_writer.h"

namespace sluice::server {

namespace {

constexpr auto kDeadline = std::chrono::seconds(5);
constexpr auto kGrace = std::chrono::seconds(1);  // to write a late answer, and for the client to take it
constexpr http::HeadLimits kHeadLimits{.line = 4096, .head = 16 * 1024, .fields = 64, .field = 8 * 1024};
// A body that was not asked for is swallowed up to this, so that the client can read the answer (RFC 9112
// §9.6).
constexpr std::size_t kMostSwallowed = 16 * 1024 * 1024;
constexpr int kFillsPerPass = 16;

// IMF-fixdate (RFC 9110 §5.6.7).
std::string http_date(WallTime wall) {
  constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(wall);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[static_cast<std::size_t>(parts.tm_wday)],
                     parts.tm_mday, kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace

AdminConnection::AdminConnection(Admin& admin, std::uint64_t id, net::Fd fd, const net::Address& peer)
    : admin_(admin),
      id_(id),
      peer_(peer),
      local_(net::local_address(fd.get())),
      stream_(admin.place_, std::move(fd), false),
      deadline_(admin.loop_, [this] { late(); }),
      parser_(http::HeadParser::Kind::request, kHeadLimits) {
  stream_.set_ready(this);
  deadline_.arm(kDeadline);
}

void AdminConnection::wake() {
  if (phase_ == Phase::done) return;
  Step step = Step::next;
  while (step == Step::next) step = advance();
  stream_.settle();
  if (step == Step::done) end();
}

void AdminConnection::end() {
  phase_ = Phase::done;
  deadline_.cancel();
  stream_.close();
  admin_.retire(id_);
}

Step AdminConnection::advance() {
  switch (phase_) {
    case Phase::read: return read();
    case Phase::body: return read_body();
    case Phase::ask: return Step::wait;
    case Phase::write: return write();
    case Phase::linger: return linger();
    case Phase::done: break;
  }
  return Step::done;
}

Step AdminConnection::read() {
  const Io io = stream_.fill();
  if (io == Io::blocked) return Step::wait;
  if (io != Io::ok) return Step::done;
  heard_ = true;
  http::Head head;
  const auto size = parser_.parse(stream_.received(), head);
  if (size && *size == 0) return Step::next;
  if (!size) {
    const ErrorRow& error = row(size.error().code);
    refuse(error.status, error.name);
    stream_.consume(stream_.received().size());
  } else {
    judge(head);
    stream_.consume(phase_ == Phase::body ? *size : stream_.received().size());
  }
  return Step::next;
}

Step AdminConnection::read_body() {
  const MutableBytes received = stream_.received();
  body_ += as_text(received.first(std::min(received.size(), command_.body - body_.size())));
  stream_.consume(received.size());
  if (body_.size() < command_.body) {
    const Io io = stream_.fill();
    if (io == Io::blocked) return Step::wait;
    return io == Io::ok ? Step::next : Step::done;
  }
  obey();
  return Step::next;
}

// The command at hand, whose body is there.
void AdminConnection::obey() {
  const bool revoke = command_.kind == AdminQuestion::Kind::revoke;
  if (const auto refusal = revoke ? command_.revoke.read(body_) : command_.command.read(body_)) return refuse(*refusal);
  if (revoke) {
    phase_ = Phase::ask;
    return admin_.source_.revoke(command_.revoke, who(), admin_.reply_to(id_));
  }
  const auto told = admin_.source_.command(command_.command);
  told ? answer({.body = *told}) : refuse(told.error());
}

void AdminConnection::judge(const http::Head& head) {
  const auto question = admin_.guard_.judge(head, local_);
  head_only_ = head.method == "HEAD";  // a refusal to HEAD has no body either
  if (question) return tell(*question);
  const AdminRefusal& refusal = question.error();
  if (refusal.status == 401 || refusal.status == 403 || refusal.status == 421) {
    log::event(Level::warn, "admin_refused",
               {{"status", refusal.status},
                {"error", refusal.error},
                {"peer", who()}});
  }
  refuse(refusal);
}

void AdminConnection::tell(const AdminQuestion& question) {
  const bool health =
      question.kind == AdminQuestion::Kind::live || question.kind == AdminQuestion::Kind::ready;
  if (!health && !admin_.source_.started()) return refuse(503, "starting");
  switch (question.kind) {
    case AdminQuestion::Kind::live: return answer({.type = "text/plain; charset=utf-8", .body = "ok\n"});
    case AdminQuestion::Kind::ready: {
      std::string why;
      const bool ready = admin_.source_.ready(why);
      return answer({ready ? 200 : 503, "text/plain; charset=utf-8", ready ? "ok\n" : why + "\n"});
    }
    case AdminQuestion::Kind::metrics:
      return answer({.type = "text/plain; version=0.0.4; charset=utf-8", .body = admin_.source_.metrics()});
    case AdminQuestion::Kind::status: return answer({.body = admin_.source_.status()});
    case AdminQuestion::Kind::backends: return answer({.body = admin_.source_.backends()});
    case AdminQuestion::Kind::connections:
      phase_ = Phase::ask;
      return admin_.source_.connections(question.connections, admin_.reply_to(id_));
    case AdminQuestion::Kind::revocations: return answer({.body = admin_.source_.revocations(question.limit)});
    case AdminQuestion::Kind::restore: {
      AdminReply reply = admin_.source_.restore(question.revocation, who());
      return answer({.status = reply.status, .body = std::move(reply.json)});
    }
    case AdminQuestion::Kind::revoke:
    case AdminQuestion::Kind::command:
      command_ = question;
      phase_ = Phase::body;
      return;
  }
}

void AdminConnection::answer_later(AdminReply reply) {
  if (phase_ != Phase::ask) return;
  answer({.status = reply.status, .body = std::move(reply.json)});
  admin_.wake_later(id_);  // never from within the question
}

void AdminConnection::refuse(const AdminRefusal& refusal) {
  JsonWriter body;
  body.begin_object().field("error", refusal.error).end_object();
  answer({.status = refusal.status, .body = body.take(), .allow = refusal.allow});
}

void AdminConnection::answer(const Answer& answer) {
  http::HeadWriter head;
  head.response(answer.status);
  head.field("Date", http_date(admin_.loop_.wall()));
  head.field("Content-Type", answer.type);
  head.field("Content-Length", std::uint64_t{answer.body.size()});
  head.field("Cache-Control", "no-store");
  head.field("X-Content-Type-Options", "nosniff");
  if (answer.status == 401) head.field("WWW-Authenticate", "Bearer");
  if (answer.status == 405) head.field("Allow", answer.allow);
  head.field("Connection", "close");
  auto text = head.finish();
  check(text.has_value(), "an admin answer has a head that no answer may have");
  out_ = std::move(*text);
  if (!head_only_) out_ += answer.body;
  phase_ = Phase::write;
}

Step AdminConnection::write() {
  const Bytes part = as_bytes(out_).subspan(sent_);
  std::size_t taken = 0;
  const Io io = stream_.write({&part, 1}, taken);
  sent_ += taken;
  if (io == Io::blocked) return Step::wait;
  if (io != Io::ok) return Step::done;
  out_ = {};
  stream_.finish();
  phase_ = Phase::linger;
  deadline_.arm(kGrace);
  return Step::next;
}

// Closing with octets unread would reset the connection and could take the answer with it.
Step AdminConnection::linger() {
  for (int fills = 0; fills < kFillsPerPass; ++fills) {
    const Io io = stream_.fill();
    if (io == Io::blocked) return Step::wait;
    if (io != Io::ok) return Step::done;
    swallowed_ += stream_.received().size();
    stream_.consume(stream_.received().size());
    if (swallowed_ > kMostSwallowed) return Step::done;
  }
  admin_.wake_later(id_);
  return Step::wait;
}

void AdminConnection::late() {
  if (reading() && heard_) {
    refuse(408, "no request in time");
    deadline_.arm(kGrace);
  } else if (phase_ == Phase::ask) {
    refuse(503, "the workers did not answer in time");
    deadline_.arm(kGrace);
  } else {
    return end();
  }
  wake();
}

}  // namespace sluice::server
