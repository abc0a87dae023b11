// A DNS server on 127.0.0.1 with a script, in a thread of its own: UDP and TCP on one port. Names without a script get
// NXDOMAIN.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

class FakeDns {
 public:
  struct Service {
    std::uint16_t priority = 0;
    std::uint16_t weight = 0;
    std::uint16_t port = 0;
    std::string target = {};
  };
  struct Script {
    std::vector<std::string> v4 = {};
    std::vector<std::string> v6 = {};
    std::uint32_t ttl = 60;
    std::string alias = {};      // CNAME that leads to the addresses
    std::uint32_t alias_ttl = 60;
    bool truncate = false;       // over UDP: TC set and no answer
    bool silent = false;
    int code = 0;                // RCODE
    std::vector<Service> services = {};
  };

  FakeDns() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    // The UDP port is chosen by the kernel and may be taken for TCP: try until both fit.
    for (int i = 0; i < 50; ++i) {
      address.sin_port = 0;
      udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      bind(udp_, reinterpret_cast<sockaddr*>(&address), sizeof address);
      getsockname(udp_, reinterpret_cast<sockaddr*>(&address), &size);
      if (bind(tcp_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(tcp_, 8) == 0) break;
      close(udp_);
      close(tcp_);
    }
    port_ = ntohs(address.sin_port);
    if (pipe(wake_) != 0) abort();
    thread_ = std::thread([this] { run(); });
  }
  ~FakeDns() {
    close(wake_[1]);
    thread_.join();
    close(wake_[0]);
    close(udp_);
    close(tcp_);
  }

  std::string servers() const { return "127.0.0.1:" + std::to_string(port_); }
  void set(const std::string& name, Script script) {
    const std::lock_guard lock(mutex_);
    scripts_[name] = std::move(script);
  }
  int questions() const { return questions_; }
  int tcp_questions() const { return tcp_questions_; }

 private:
  static void put16(std::string& to, unsigned value) {
    to.push_back(static_cast<char>(value >> 8));
    to.push_back(static_cast<char>(value));
  }
  static void put_name(std::string& to, const std::string& name) {
    for (std::size_t at = 0; at < name.size();) {
      const std::size_t end = std::min(name.find('.', at), name.size());
      to.push_back(static_cast<char>(end - at));
      to.append(name, at, end - at);
      at = end + 1;
    }
    to.push_back(0);
  }
  static void put_record(std::string& to, const std::string& name, unsigned type, std::uint32_t ttl,
                         const std::string& value) {
    put_name(to, name);
    put16(to, type);
    put16(to, 1);
    put16(to, ttl >> 16);
    put16(to, ttl & 0xffff);
    put16(to, static_cast<unsigned>(value.size()));
    to += value;
  }

  std::string answer(const std::string& question, bool tcp) {
    ++questions_;
    if (tcp) ++tcp_questions_;
    std::string name;
    std::size_t at = 12;
    while (at < question.size() && question[at] != 0) {
      const auto size = static_cast<std::size_t>(static_cast<unsigned char>(question[at]));
      if (!name.empty()) name += '.';
      name += question.substr(at + 1, size);
      at += size + 1;
    }
    if (at + 5 > question.size()) return {};
    const unsigned type = static_cast<unsigned char>(question[at + 2]);
    Script script;
    script.code = 3;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = scripts_.find(name); found != scripts_.end()) script = found->second;
    }
    if (script.silent) return {};
    std::string records;
    unsigned count = 0;
    std::string owner = name;
    const bool cut = script.truncate && !tcp;
    if (!script.alias.empty() && !cut) {
      std::string target;
      put_name(target, script.alias);
      put_record(records, name, 5, script.alias_ttl, target);
      owner = script.alias;
      ++count;
    }
    for (const std::string& ip : cut ? std::vector<std::string>() : type == 28 ? script.v6 : script.v4) {
      char raw[16];
      if (type != 1 && type != 28) break;
      inet_pton(type == 28 ? AF_INET6 : AF_INET, ip.c_str(), raw);
      put_record(records, owner, type, script.ttl, std::string(raw, type == 28 ? 16 : 4));
      ++count;
    }
    for (const Service& one : type == 33 && !cut ? script.services : std::vector<Service>()) {
      std::string value;
      put16(value, one.priority);
      put16(value, one.weight);
      put16(value, one.port);
      put_name(value, one.target);
      put_record(records, owner, type, script.ttl, value);
      ++count;
    }
    std::string reply = question.substr(0, 2);
    put16(reply, 0x8180u | (cut ? 0x0200u : 0u) | static_cast<unsigned>(script.code));
    put16(reply, 1);
    put16(reply, count);
    put16(reply, 0);
    put16(reply, 0);
    reply += question.substr(12, at + 5 - 12);
    return reply + records;
  }

  void run() {
    while (true) {
      pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      poll(fds, 3, -1);
      if (fds[2].revents) return;
      char raw[2048];
      if (fds[0].revents) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t n = recvfrom(udp_, raw, sizeof raw, 0, reinterpret_cast<sockaddr*>(&from), &size);
        const std::string reply = n > 12 ? answer(std::string(raw, static_cast<std::size_t>(n)), false) : "";
        if (!reply.empty()) sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
      if (fds[1].revents) serve_tcp(accept(tcp_, nullptr, nullptr));
    }
  }
  void serve_tcp(int fd) {
    std::string in;
    char raw[2048];
    for (ssize_t n; (n = recv(fd, raw, sizeof raw, 0)) > 0;) {
      in.append(raw, static_cast<std::size_t>(n));
      while (in.size() >= 2) {
        const std::size_t size =
            static_cast<std::size_t>(static_cast<unsigned char>(in[0]) << 8 | static_cast<unsigned char>(in[1]));
        if (in.size() < size + 2) break;
        const std::string reply = answer(in.substr(2, size), true);
        in.erase(0, size + 2);
        std::string framed;
        put16(framed, static_cast<unsigned>(reply.size()));
        framed += reply;
        // In two pieces, so that the reader sees a cut answer.
        send(fd, framed.data(), 10, MSG_NOSIGNAL);
        send(fd, framed.data() + 10, framed.size() - 10, MSG_NOSIGNAL);
      }
    }
    close(fd);
  }

  int udp_ = -1;
  int tcp_ = -1;
  int wake_[2];
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::map<std::string, Script> scripts_;
  std::atomic<int> questions_{0};
  std::atomic<int> tcp_questions_{0};
  std::thread thread_;
};

}  // namespace sluice
