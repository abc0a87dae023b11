// Admin: the listener for operators, on the main loop. Health, metrics, JSON documents and commands over HTTP/1.1, one
// request a connection. Guarded against other pages of a browser and other hosts' names (admin_guard.h);
// never reachable through a data listener.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "config/settings.h"
#include "event/loop.h"
#include "net/listener.h"
#include "net/stream.h"
#include "server/admin_guard.h"
#include "server/status.h"

namespace sluice::server {

// What the answers are made of. Implemented by Server.
class AdminSource {
 public:
  virtual std::string metrics() = 0;   // exposition text
  virtual std::string status() = 0;    // JSON text
  virtual std::string backends() = 0;  // JSON text
  // False while there is nothing to tell yet: then only health is answered.
  virtual bool started() { return true; }
  // False and `why` (fixed words, for the one who asks) while no traffic should be sent here.
  virtual bool ready(std::string& why) = 0;
  // JSON text of what came of it.
  virtual std::expected<std::string, AdminRefusal> command(const AdminCommand& command) = 0;
  // Ask every worker; call back on the main loop. `by`: who asks, for the log.
  virtual void connections(const ConnectionQuery& query, std::move_only_function<void(AdminReply)> done) = 0;
  virtual void revoke(const RevokeCommand& command, std::string_view by,
                      std::move_only_function<void(AdminReply)> done) = 0;
  virtual std::string revocations(std::size_t limit) = 0;  // JSON text
  virtual AdminReply restore(const std::string& id, std::string_view by) = 0;

 protected:
  ~AdminSource() = default;
};

class AdminConnection;

class Admin {
 public:
  Admin(event::Loop& loop, const net::Place& place, AdminSource& source);
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;
  ~Admin();

  // Listens as the settings say (TCP, or a unix socket of mode 0660), or no longer when they say so. May be
  // called again: an unchanged address keeps its socket, a new one replaces it once it is bound. False and
  // `why` when it cannot be; then all is as it was.
  bool listen(const config::AdminSettings& settings, std::string& why);

  // Where it listens (the port that the kernel chose for port 0); empty when it does not.
  net::Address address() const;
  std::size_t connections() const { return connections_.size(); }

 private:
  friend class AdminConnection;

  void accepted(net::Fd fd, const net::Address& peer);
  void make_room();
  // For the connections: the end of one, and another call in the next pass.
  void retire(std::uint64_t id);
  void wake_later(std::uint64_t id);
  // The reply goes to the connection of that name, if it is there still.
  std::move_only_function<void(AdminReply)> reply_to(std::uint64_t id);
  void close_listener();

  event::Loop& loop_;
  const net::Place& place_;
  AdminSource& source_;
  AdminGuard guard_;
  net::Address bind_;  // as configured
  std::unique_ptr<net::Listener> listener_;
  std::uint64_t socket_device_ = 0;  // of the unix socket's file, so that only our own is removed
  std::uint64_t socket_inode_ = 0;
  std::map<std::uint64_t, std::unique_ptr<AdminConnection>> connections_;  // by age
  std::uint64_t next_id_ = 0;
  std::shared_ptr<Admin*> self_;  // held weakly by what calls back later
};

}  // namespace sluice::server
