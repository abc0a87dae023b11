// AdminGuard: who may ask the admin listener what, sans I/O. Every refusal is fixed text:
// nothing of the request is reflected.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string_view>

#include "config/settings.h"
#include "http/head.h"
#include "net/address.h"
#include "net/crypto.h"
#include "server/admin_command.h"
#include "server/connection_query.h"
#include "server/revoke_command.h"

namespace sluice::server {

struct AdminQuestion {
  enum class Kind : std::uint8_t {
    live, ready, metrics, status, backends, connections, revocations, command, revoke, restore,
  };
  Kind kind = Kind::live;
  bool head = false;      // HEAD: the same without the body
  std::size_t limit = 0;  // of revocations
  ConnectionQuery connections;
  std::string revocation;  // id of one that is taken back
  std::size_t body = 0;   // octets that a command comes in
  AdminCommand command;
  RevokeCommand revoke;
};

class AdminGuard {
 public:
  void configure(const config::AdminSettings& settings);

  // `local` is the address that the connection came to. In this order: the shape of the request (400), Host
  // (421), pages of other origins (403), the token (401), what it carries (413, 415, 400), the path (404),
  // the method (405), and whether commands are taken at all (403): only with a token, or by a unix socket.
  std::expected<AdminQuestion, AdminRefusal> judge(const http::Head& head, const net::Address& local) const;

 private:
  std::optional<AdminRefusal> judge_origin(const http::Head& head, const net::Address& local) const;
  std::optional<AdminRefusal> judge_token(const http::Head& head) const;
  std::expected<AdminQuestion, AdminRefusal> judge_command(const http::Head& head) const;
  bool own_host(std::string_view host, const net::Address& local) const;

  net::Address bind_;
  std::optional<net::Sha256> token_;  // the digest: what is compared has one size, whatever was sent
};

// Whether the text is host [":" port] of RFC 3986 §3.2 with the host given back without brackets; nullopt
// otherwise.
std::optional<std::string_view> host_of(std::string_view authority);

}  // namespace sluice::server
