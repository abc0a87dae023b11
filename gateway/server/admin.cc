#include "server/admin.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "server/admin_connection.h"

namespace sluice::server {

namespace {

constexpr std::size_t kMostConnections = 64;

const char* socket_path(const net::Address& address) {
  return reinterpret_cast<const sockaddr_un*>(address.raw())->sun_path;
}

net::Fd open_socket(const net::Address& bind, int& error) {
  if (!bind.is_unix()) return net::listen_on(bind, error);
  // The mode is right from the first moment: a chmod() afterwards would come too late.
  const mode_t before = ::umask(0117);
  net::Fd fd = net::listen_on(bind, error);
  ::umask(before);
  return fd;
}

}  // namespace

Admin::Admin(event::Loop& loop, const net::Place& place, AdminSource& source)
    : loop_(loop), place_(place), source_(source), self_(std::make_shared<Admin*>(this)) {}

Admin::~Admin() {
  close_listener();
  self_.reset();
}

bool Admin::listen(const config::AdminSettings& settings, std::string& why) {
  if (!settings.enabled) {
    close_listener();
    return true;
  }
  if (!settings.bind.is_unix() && !settings.bind.is_loopback() && settings.token.empty()) {
    why = "an address that is not loopback needs a token";
    return false;
  }
  if (!listener_ || !(bind_ == settings.bind)) {
    int error = 0;
    net::Fd fd = open_socket(settings.bind, error);
    if (!fd) {
      why = "cannot listen on " + settings.bind.text() + ": " + std::strerror(error);
      return false;
    }
    close_listener();
    bind_ = settings.bind;
    struct stat file{};
    if (bind_.is_unix() && ::lstat(socket_path(bind_), &file) == 0) {
      socket_device_ = file.st_dev;
      socket_inode_ = file.st_ino;
    }
    listener_ = std::make_unique<net::Listener>(
        loop_, std::move(fd),
        [this](net::Fd client, const net::Address& peer) { accepted(std::move(client), peer); },
        [](int) {});  // out of descriptors: the listener tries again by itself
  }
  guard_.configure(settings);
  return true;
}

net::Address Admin::address() const {
  return listener_ ? net::local_address(listener_->fd()) : net::Address();
}

void Admin::close_listener() {
  if (!listener_) return;
  listener_.reset();
  struct stat file{};
  // The file may be another process's by now, one that has taken over.
  if (bind_.is_unix() && ::lstat(socket_path(bind_), &file) == 0 && file.st_dev == socket_device_ &&
      file.st_ino == socket_inode_) {
    ::unlink(socket_path(bind_));
  }
}

void Admin::accepted(net::Fd fd, const net::Address& peer) {
  make_room();
  if (connections_.size() >= kMostConnections) return;  // all are being answered: closed
  const std::uint64_t id = ++next_id_;
  connections_.emplace(id, std::make_unique<AdminConnection>(*this, id, std::move(fd), peer));
}

// Silent clients do not keep others out: the oldest of them goes first.
void Admin::make_room() {
  if (connections_.size() < kMostConnections) return;
  for (const auto& [id, connection] : connections_) {
    if (connection->reading()) return retire(id);
  }
}

void Admin::retire(std::uint64_t id) {
  auto found = connections_.extract(id);
  if (found) loop_.retire(std::move(found.mapped()));
}

void Admin::wake_later(std::uint64_t id) {
  loop_.defer([self = std::weak_ptr(self_), id] {
    const auto admin = self.lock();
    if (!admin) return;
    const auto found = (*admin)->connections_.find(id);
    if (found != (*admin)->connections_.end()) found->second->wake();
  });
}

// The reply may come when the asker has gone, or the Admin itself.
std::move_only_function<void(AdminReply)> Admin::reply_to(std::uint64_t id) {
  return [self = std::weak_ptr(self_), id](AdminReply reply) {
    const auto admin = self.lock();
    if (!admin) return;
    const auto found = (*admin)->connections_.find(id);
    if (found != (*admin)->connections_.end()) found->second->answer_later(std::move(reply));
  };
}

}  // namespace sluice::server
