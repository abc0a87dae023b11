// idle: opens connections in steps, holds them, and prints the proxy's user memory at each step.
//
//   --steps 1000,9000 --message 0 --settle 1.5 --children 0
//
// With --message N each connection sends one message of N bytes and receives it back before it counts as
// open. With --children 1 what --pids have started counts, too.
#include <cstdio>
#include <memory>

#include "commands.h"
#include "proc.h"

namespace bench {
namespace {

constexpr std::size_t kOpening = 64;  // connections under way at a time
constexpr std::uint64_t kPatience = 120'000'000'000;

class Idle final : public ClientEvents {
 public:
  Idle(const Target& target, std::size_t message) : target_(target), size_(message) {
    if (message > 0) frame_ = masked_frame(message);
  }

  void open_up_to(std::size_t count) {
    const std::uint64_t end = now_ns() + kPatience;
    while (ready_ < count) {
      while (clients_.size() < count && clients_.size() - ready_ < kOpening) {
        const auto index = static_cast<unsigned>(clients_.size());
        clients_.push_back(std::make_unique<Client>(poller_, tls_, target_, *this, index));
        clients_.back()->open();
      }
      poller_.poll(100);
      if (now_ns() > end) fail("only " + std::to_string(ready_) + " connections are open");
    }
  }
  // Stays open, answers pings.
  void hold(double seconds) {
    const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    while (now_ns() < end) poller_.poll(20);
  }

  void opened(Client& client) override {
    if (frame_.empty()) {
      ++ready_;
    } else {
      client.send(Bytes(reinterpret_cast<const std::uint8_t*>(frame_.data()), frame_.size()));
    }
  }
  void message(Client&, std::uint64_t length, Bytes) override {
    if (length != size_) fail("an answer is not what was sent");
    ++ready_;
  }
  void closed(Client& client, const std::string& why) override {
    fail("connection " + std::to_string(client.index()) + " was lost: " + why);
  }

 private:
  const Target& target_;
  std::size_t size_;
  std::string frame_;
  Poller poller_;
  TlsContext tls_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::size_t ready_ = 0;
};

}  // namespace

int run_idle(Options& options) {
  const Target target = Target::from(options);
  const auto pids = options.list<pid_t>("pids");
  const auto steps = options.list<std::size_t>("steps");
  const auto message = options.number<std::size_t>("message", 0);
  const auto settle = options.number("settle", 1.5);
  const bool children = options.number("children", 0) != 0;
  options.finish();
  if (pids.empty() || steps.empty()) fail("--pids and --steps are required");

  Idle idle(target, message);
  const auto memory = [&] { return pss_kib(children ? with_children(pids) : pids); };
  const std::uint64_t start = memory();
  std::printf("pss_0=%lu", start);
  for (const std::size_t step : steps) {
    idle.open_up_to(step);
    idle.hold(settle);
    std::printf(" pss_%zu=%lu", step, memory());
  }
  std::printf("\n");
  return 0;
}

}  // namespace bench
