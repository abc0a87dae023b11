#include "server/admin_guard.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "http/h1_parser.h"

namespace sluice::server {

namespace {

using Kind = AdminQuestion::Kind;

constexpr std::uint64_t kMostBody = 64 * 1024;  // more is refused as too large, less as not asked for
constexpr std::size_t kRevocationsListed = 10'000;
constexpr std::string_view kRevoke = "/api/v1/revoke";
constexpr std::string_view kRevocation = "/api/v1/revocations/";

struct Endpoint {
  std::string_view path;
  Kind kind;
  bool open;  // needs no token: what a supervisor asks
};

constexpr std::array kEndpoints{
    Endpoint{"/livez", Kind::live, true},
    Endpoint{"/healthz", Kind::live, true},
    Endpoint{"/readyz", Kind::ready, true},
    Endpoint{"/metrics", Kind::metrics, false},
    Endpoint{"/api/v1/status", Kind::status, false},
    Endpoint{"/api/v1/backends", Kind::backends, false},
    Endpoint{"/api/v1/connections", Kind::connections, false},
    Endpoint{"/api/v1/revocations", Kind::revocations, false},
};

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

const Endpoint* endpoint_of(std::string_view target) {
  // Exact octets: nothing is decoded or normalised, so that two spellings cannot mean one thing.
  const auto found = std::ranges::find(kEndpoints, path_of(target), &Endpoint::path);
  return found == kEndpoints.end() ? nullptr : &*found;
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view query_of(std::string_view target) {
  const std::size_t at = target.find('?');
  return at == std::string_view::npos ? std::string_view() : target.substr(at + 1);
}

bool json(std::string_view type) {
  return http::same_name(type.substr(0, type.find_first_of("; \t")), "application/json");
}

// The octets of a command's body; they come with their length or not at all.
std::expected<AdminQuestion, AdminRefusal> with_body(const http::Head& head, std::size_t most, AdminQuestion question) {
  const auto body = http::request_body(head);
  check(body.has_value(), "a body that was good is bad");
  if (body->kind == http::BodyLength::Kind::chunked || body->length == 0)
    return std::unexpected(AdminRefusal{411, "a Content-Length is needed"});
  if (body->length > most) return std::unexpected(AdminRefusal{413, "too large"});
  question.body = static_cast<std::size_t>(body->length);
  return question;
}

// What the request carries and how: only commands take a body.
std::optional<AdminRefusal> judge_body(const http::Head& head, bool read) {
  const auto body = http::request_body(head);
  if (!body) return AdminRefusal{row(body.error().code).status, row(body.error().code).name};
  const bool some = body->kind == http::BodyLength::Kind::chunked || body->length > 0;
  if (body->length > kMostBody) return AdminRefusal{413, "too large"};
  if (read) return some ? std::optional(AdminRefusal{400, "a body was not expected"}) : std::nullopt;
  // A form of another page can post text/plain without asking; it cannot post JSON.
  const std::string_view* type = head.find("Content-Type");
  if (type ? head.count("Content-Type") > 1 || !json(*type) : some)
    return AdminRefusal{415, "only application/json is taken"};
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> host_of(std::string_view authority) {
  std::string_view host;
  std::string_view rest;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = authority.substr(1, end - 1);
    rest = authority.substr(end + 1);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
  } else {
    const std::size_t end = std::min(authority.find(':'), authority.size());
    host = authority.substr(0, end);
    rest = authority.substr(end);
  }
  if (host.empty()) return std::nullopt;
  if (!rest.empty() && (rest.front() != ':' || !number<std::uint16_t>(rest.substr(1)))) return std::nullopt;
  return host;
}

void AdminGuard::configure(const config::AdminSettings& settings) {
  bind_ = settings.bind;
  token_.reset();
  if (!settings.token.empty()) token_ = net::sha256(as_bytes(settings.token.reveal()));
}

// Only the name matters against DNS rebinding: a page of another site reaches us under its own name, whereas
// a port may be another one through a tunnel.
bool AdminGuard::own_host(std::string_view host, const net::Address& local) const {
  if (http::same_name(host, "localhost")) return true;
  const auto literal = net::Address::parse(host, 0);
  if (!literal) return false;
  const auto same_ip = [&literal](const net::Address& address) {
    return !address.empty() && !address.is_unix() && std::ranges::equal(address.octets(), literal->octets());
  };
  // `local` matters when the listener is bound to every address of the machine.
  return literal->ip() == "127.0.0.1" || literal->ip() == "::1" || same_ip(bind_) || same_ip(local);
}

std::optional<AdminRefusal> AdminGuard::judge_origin(const http::Head& head,
                                                     const net::Address& local) const {
  if (head.method == "CONNECT" || !head.target.starts_with('/')) return AdminRefusal{400, "bad target"};
  if (head.count("Host") != 1) return AdminRefusal{400, "one Host is needed"};
  // No page of a browser reaches a unix socket, and its clients make names up.
  if (!bind_.is_unix()) {
    const auto host = host_of(*head.find("Host"));
    if (!host) return AdminRefusal{400, "bad Host"};
    if (!own_host(*host, local)) return AdminRefusal{421, "not a name of this listener"};
  }
  if (head.find("Origin")) return AdminRefusal{403, "not for pages"};
  for (const http::Field& field : head.fields) {
    if (http::same_name(field.name, "Sec-Fetch-Site") && field.value != "none")
      return AdminRefusal{403, "not for pages"};
  }
  return std::nullopt;
}

std::optional<AdminRefusal> AdminGuard::judge_token(const http::Head& head) const {
  const Endpoint* endpoint = endpoint_of(head.target);
  if (!token_ || (endpoint && endpoint->open)) return std::nullopt;
  constexpr AdminRefusal kRefusal{401, "a token is needed"};
  const std::string_view* value = head.find("Authorization");
  if (!value || head.count("Authorization") != 1) return kRefusal;
  const std::size_t blank = value->find(' ');
  if (blank == std::string_view::npos || !http::same_name(value->substr(0, blank), "Bearer")) return kRefusal;
  const std::size_t begin = value->find_first_not_of(' ', blank);
  if (begin == std::string_view::npos) return kRefusal;
  if (!net::constant_time_equal(net::sha256(as_bytes(value->substr(begin))), *token_)) return kRefusal;
  return std::nullopt;
}

std::expected<AdminQuestion, AdminRefusal> AdminGuard::judge(const http::Head& head,
                                                             const net::Address& local) const {
  if (const auto refusal = judge_origin(head, local)) return std::unexpected(*refusal);
  if (const auto refusal = judge_token(head)) return std::unexpected(*refusal);
  const bool read = head.method == "GET" || head.method == "HEAD";
  if (const auto refusal = judge_body(head, read)) return std::unexpected(*refusal);
  const Endpoint* endpoint = endpoint_of(head.target);
  if (!endpoint) return judge_command(head);
  if (!read) return std::unexpected(AdminRefusal{405, "only GET and HEAD"});
  AdminQuestion question;
  question.kind = endpoint->kind;
  question.head = head.method == "HEAD";
  if (question.kind == Kind::connections) {
    auto query = ConnectionQuery::parse(query_of(head.target));
    if (!query) {
      return std::unexpected(AdminRefusal{
          400, "the query may have limit (1 to 10000), subject, route, auth, method and claim=name:value, once each"});
    }
    question.connections = std::move(*query);
  }
  question.limit = kRevocationsListed;
  return question;
}

std::expected<AdminQuestion, AdminRefusal> AdminGuard::judge_command(const http::Head& head) const {
  auto command = AdminCommand::at(head.target);
  const bool revoke = head.target == kRevoke;
  if (!command && !revoke && (!head.target.starts_with(kRevocation) || head.target.size() == kRevocation.size())) {
    return std::unexpected(AdminRefusal{404, "no such path"});
  }
  if (command && head.method != "PUT") return std::unexpected(AdminRefusal{405, "only PUT", "PUT"});
  if (revoke && head.method != "POST") return std::unexpected(AdminRefusal{405, "only POST", "POST"});
  if (!command && !revoke && head.method != "DELETE") return std::unexpected(AdminRefusal{405, "only DELETE", "DELETE"});
  if (!token_ && !bind_.is_unix()) return std::unexpected(AdminRefusal{403, "needs admin.token_file, or a unix socket"});
  AdminQuestion question;
  if (command) {
    question.kind = Kind::command;
    question.command = std::move(*command);
    return with_body(head, AdminCommand::kMostBody, std::move(question));
  }
  if (revoke) {
    question.kind = Kind::revoke;
    return with_body(head, RevokeCommand::kMostBody, std::move(question));
  }
  question.kind = Kind::restore;
  question.revocation = head.target.substr(kRevocation.size());
  return question;
}

}  // namespace sluice::server
