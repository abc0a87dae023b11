#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "net/socket.h"
#include "server/commands.h"
#include "server/exit_code.h"

namespace sluice::server {

namespace {

using Time = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(3);  // for all of it: who drips its answer is not well either

bool wait_for(int fd, short what, Time::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Time::now()).count();
  pollfd one{fd, what, 0};
  return left > 0 && ::poll(&one, 1, static_cast<int>(left)) == 1;
}

}  // namespace

int command_healthcheck(const std::string& admin) {
  const auto address = net::Address::parse_bind(admin);
  const Time::time_point deadline = Time::now() + kPatience;
  int error = 0;
  net::Fd fd = address ? net::connect_to(*address, {}, error) : net::Fd();
  const std::string request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  std::string answer;
  if (fd && wait_for(fd.get(), POLLOUT, deadline) && ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char part[1024];
    while (answer.size() < 16384 && wait_for(fd.get(), POLLIN, deadline)) {
      const ssize_t n = ::recv(fd.get(), part, sizeof part, 0);
      if (n <= 0) break;
      answer.append(part, static_cast<std::size_t>(n));
    }
  }
  if (answer.starts_with("HTTP/1.1 200 ")) return kExitOk;
  std::fprintf(stderr, "sluice healthcheck: %s\n", answer.empty() ? "no answer" : answer.substr(0, answer.find('\r')).c_str());
  return kExitFailed;
}

}  // namespace sluice::server
