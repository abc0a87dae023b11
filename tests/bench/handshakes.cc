// handshakes: connections that are opened up to the 101 and closed at once, S slots side by side.
//
//   --slots 16 --warmup 0.2 --seconds 1 --resume 0|1
//
// Each slot resumes with the newest ticket that it was given; the first connection of a slot is a full one
// and falls into the warm-up. The close is a close_notify and FIN, without a Close frame: connection setup is
// what is measured.
#include <cstdio>
#include <memory>

#include "commands.h"
#include "proc.h"

namespace bench {
namespace {

class Handshakes final : public ClientEvents {
 public:
  Handshakes(const Target& target, unsigned slots, bool resume) : resume_(resume) {
    for (unsigned i = 0; i < slots; ++i) {
      slots_.push_back(std::make_unique<Client>(poller_, tls_, target, *this, i));
      slots_.back()->open();
    }
  }

  void run_for(double seconds) {
    const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    while (now_ns() < end) {
      poller_.poll(10);
      // Not from within the event: the client still stands on the connection that has ended.
      for (Client* slot : free_) slot->open(resume_);
      free_.clear();
    }
  }
  std::uint64_t done() const { return done_; }
  std::uint64_t resumed() const { return resumed_; }

  void opened(Client& client) override {
    ++done_;
    if (client.resumed()) ++resumed_;
    client.close();
    free_.push_back(&client);
  }
  void closed(Client&, const std::string& why) override { fail("a handshake failed: " + why); }

 private:
  bool resume_;
  Poller poller_;
  TlsContext tls_;
  std::vector<std::unique_ptr<Client>> slots_;
  std::vector<Client*> free_;
  std::uint64_t done_ = 0;
  std::uint64_t resumed_ = 0;
};

}  // namespace

int run_handshakes(Options& options) {
  const Target target = Target::from(options);
  const auto pids = options.list<pid_t>("pids");
  const auto slots = options.number("slots", 16U);
  const auto warmup = options.number("warmup", 0.2);
  const auto seconds = options.number("seconds", 1.0);
  const bool resume = options.number("resume", 0) != 0;
  options.finish();

  Handshakes handshakes(target, slots, resume);
  handshakes.run_for(warmup);
  const std::uint64_t done_before = handshakes.done();
  const std::uint64_t resumed_before = handshakes.resumed();
  const std::uint64_t cpu_before = cpu_ns(pids);
  handshakes.run_for(seconds);
  const auto cpu = static_cast<double>(cpu_ns(pids) - cpu_before);
  const auto done = static_cast<double>(handshakes.done() - done_before);
  const auto resumed = static_cast<double>(handshakes.resumed() - resumed_before);
  if (done == 0) fail("no handshake was finished");
  std::printf("handshakes=%.0f resumed=%.3f cpu_us=%.0f us_per_handshake=%.1f per_cpu_second=%.0f\n", done,
              resumed / done, cpu / 1e3, cpu / 1e3 / done, done * 1e9 / cpu);
  return 0;
}

}  // namespace bench
