// ScriptServer: a blocking server, on 127.0.0.1 unless told otherwise, in a thread of its own, which serves one connection after the other by a
// script: what a test says to a client of the gateway's own.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/address.h"
#include "net/socket.h"

namespace sluice::test {

class ScriptServer {
 public:
  class Peer {
   public:
    explicit Peer(int fd) : fd_(fd) {}
    // Reads to the end of a head; "" when the client has gone.
    std::string head() {
      while (in.find("\r\n\r\n") == std::string::npos) {
        if (!more()) return "";
      }
      const std::size_t size = in.find("\r\n\r\n") + 4;
      std::string text = in.substr(0, size);
      in.erase(0, size);
      return text;
    }
    bool more() {
      char buffer[4096];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n > 0) in.append(buffer, static_cast<std::size_t>(n));
      return n > 0;
    }
    bool until(std::size_t octets) {
      while (in.size() < octets) {
        if (!more()) return false;
      }
      return true;
    }
    void send(std::string_view text) { (void)!::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
    void wait_end() {
      while (more()) {
      }
    }
    std::string in;

   private:
    int fd_;
  };
  using Script = std::function<void(Peer&)>;

  explicit ScriptServer(Script script, const net::Address& at = *net::Address::parse("127.0.0.1", 0))
      : script_(std::move(script)) {
    listener_ = ::socket(at.raw()->sa_family, SOCK_STREAM, 0);
    if (::bind(listener_, at.raw(), at.raw_size()) != 0 || ::listen(listener_, 16) != 0) abort();
    address_ = net::local_address(listener_);
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptServer() {
    ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    {
      const std::lock_guard lock(mutex_);
      if (peer_ >= 0) ::shutdown(peer_, SHUT_RDWR);
    }
    thread_.join();
    ::close(listener_);
  }
  const net::Address& address() const { return address_; }
  int visits() const { return visits_; }

 private:
  void run() {
    while (!ending_) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      ++visits_;
      set(fd);
      Peer peer(fd);
      if (!ending_) script_(peer);
      set(-1);
      ::close(fd);
    }
  }
  void set(int fd) {
    const std::lock_guard lock(mutex_);
    peer_ = fd;
  }

  Script script_;
  int listener_ = -1;
  net::Address address_;
  std::atomic<bool> ending_{false};
  std::atomic<int> visits_{0};
  std::mutex mutex_;
  int peer_ = -1;
  std::thread thread_;
};

}  // namespace sluice::test
