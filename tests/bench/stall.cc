// stall: receivers of a flood (sluice_echo --mode flood), some of whom stop reading.
//
//   --receivers 20 --stalled 10 --rate 4000000 --warmup 1.5 --seconds 8 --hook CMD
//
// All read during the warm-up, so that the difference that follows is the stalled readers' alone. The others
// check the number of each message. CMD is run by the shell with the argument "reading" at the end of the
// warm-up and "stalled" at the end: that is when compare.sh asks for the proxy's socket memory.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "commands.h"
#include "proc.h"

namespace bench {
namespace {

constexpr std::uint64_t kPatience = 30'000'000'000;

class Stall final : public ClientEvents {
 public:
  Stall(const Target& target, unsigned receivers) : next_(receivers) {
    for (unsigned i = 0; i < receivers; ++i) {
      clients_.push_back(std::make_unique<Client>(poller_, tls_, target, *this, i));
      clients_.back()->open();
    }
    const std::uint64_t end = now_ns() + kPatience;
    while (opened_ < receivers) {
      poller_.poll(100);
      if (now_ns() > end) fail("the connections do not open");
    }
    const std::string start = masked_frame(1);
    for (auto& client : clients_)
      client->send(Bytes(reinterpret_cast<const std::uint8_t*>(start.data()), start.size()));
  }

  void run_for(double seconds) {
    const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
    while (now_ns() < end) poller_.poll(10);
  }
  void stall(unsigned count) {
    for (unsigned i = 0; i < count; ++i) clients_[i]->stop_reading();
    stalled_ = count;
    delays_.clear();
    bytes_ = 0;
  }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t out_of_order() const { return out_of_order_; }
  std::uint64_t lost() const { return lost_; }
  double delay_ms(double quantile) {
    if (delays_.empty()) return 0;
    std::sort(delays_.begin(), delays_.end());
    return static_cast<double>(
               delays_[static_cast<std::size_t>(quantile * static_cast<double>(delays_.size() - 1))]) /
           1e6;
  }

  void opened(Client&) override { ++opened_; }
  void message(Client& client, std::uint64_t length, Bytes prefix) override {
    if (client.index() < stalled_) return;
    if (prefix.size() < 16) fail("not a message of the flood");
    if (load_be(prefix.data(), 8) != next_[client.index()]++) ++out_of_order_;
    delays_.push_back(now_ns() - load_be(prefix.data() + 8, 8));
    bytes_ += length;
  }
  void closed(Client& client, const std::string& why) override {
    std::fprintf(stderr, "receiver %u was lost: %s\n", client.index(), why.c_str());
    ++lost_;
  }

 private:
  Poller poller_;
  TlsContext tls_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::uint64_t> next_;  // number of the next message, by client
  std::vector<std::uint64_t> delays_;
  std::uint64_t bytes_ = 0;
  std::uint64_t out_of_order_ = 0;
  std::uint64_t lost_ = 0;
  unsigned opened_ = 0;
  unsigned stalled_ = 0;
};

void run_hook(const std::string& command, const char* phase) {
  if (!command.empty() && std::system((command + " " + phase).c_str()) != 0)
    fail("the hook failed: " + command);
}

}  // namespace

int run_stall(Options& options) {
  const Target target = Target::from(options);
  const auto pids = options.list<pid_t>("pids");
  const auto receivers = options.number("receivers", 20U);
  const auto stalled = options.number("stalled", 10U);
  const auto rate = options.number("rate", 4e6);
  const auto warmup = options.number("warmup", 1.5);
  const auto seconds = options.number("seconds", 8.0);
  const std::string hook = options.text("hook", "");
  options.finish();
  if (stalled == 0 || stalled >= receivers) fail("--stalled is 1 to --receivers - 1");

  Stall stall(target, receivers);
  stall.run_for(warmup);
  const std::uint64_t before = pss_kib(pids);
  run_hook(hook, "reading");
  stall.run_for(0.2);  // what has piled up meanwhile
  stall.stall(stalled);
  const std::uint64_t start = now_ns();
  stall.run_for(seconds);
  const auto elapsed = static_cast<double>(now_ns() - start) / 1e9;
  const auto growth = static_cast<double>(pss_kib(pids)) - static_cast<double>(before);
  const double wanted = rate * elapsed * (receivers - stalled);
  const double received = static_cast<double>(stall.bytes()) / wanted;
  run_hook(hook, "stalled");
  std::printf("user_kib_each=%.1f received=%.3f out_of_order=%lu lost=%lu p50_ms=%.2f p99_ms=%.2f\n",
              growth / stalled, received, stall.out_of_order(), stall.lost(), stall.delay_ms(0.5),
              stall.delay_ms(0.99));
  return 0;
}

}  // namespace bench
