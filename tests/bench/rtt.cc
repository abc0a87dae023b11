// rtt: C connections, each with D messages of S bytes in flight to an echo backend.
//
//   --connections 32 --size 64 --depth 1
//   --stream 1                      answers are a stream: messages may be cut and joined on the way
//   --children 1                    what --pids have started counts, too
//   --warmup 0.2 --seconds 1        CPU of --pids over the time, per message
//   --count N --strace FILE         instead: system calls of --pids over N messages, per message
#include <cstdio>
#include <memory>

#include "commands.h"
#include "proc.h"

namespace bench {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kPatience = 30 * kSecond;

class Rtt final : public ClientEvents {
 public:
  Rtt(const Target& target, unsigned connections, std::size_t size, unsigned depth, bool stream)
      : size_(size), depth_(depth), stream_(stream), frame_size_(masked_frame(size).size()) {
    const std::string frame = masked_frame(size);
    for (unsigned i = 0; i < depth; ++i) batch_ += frame;
    owed_.resize(connections);
    received_.resize(connections);
    for (unsigned i = 0; i < connections; ++i) {
      clients_.push_back(std::make_unique<Client>(poller_, tls_, target, *this, i));
      clients_.back()->open();
    }
    run([this] { return opened_ == clients_.size(); }, kPatience, "to open");
  }

  void start() {
    sending_ = true;
    for (auto& client : clients_) send(*client, depth_);
  }
  void run_for(double seconds) {
    const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * static_cast<double>(kSecond));
    while (now_ns() < end) poller_.poll(10);
  }
  // Sends until `count` messages have been sent, then waits for every answer.
  void run_count(std::uint64_t count) {
    limit_ = sent_ + count;
    start();
    run([this] { return sent_ >= limit_ && done_ == sent_; }, 4 * kPatience, "for the answers");
    sending_ = false;
  }
  void finish() {
    sending_ = false;
    run([this] { return done_ == sent_; }, kPatience, "for the answers");
  }
  std::uint64_t done() const { return done_; }
  // Messages that have come back; of a stream with the part of one that is under way.
  double come_back() const {
    std::uint64_t part = 0;
    for (const std::uint64_t octets : received_) part += octets;
    return static_cast<double>(done_) + static_cast<double>(part) / static_cast<double>(size_);
  }

  void opened(Client&) override { ++opened_; }
  void message(Client& client, std::uint64_t length, Bytes prefix) override {
    if (stream_) return octets(client, length);
    const Bytes wanted = payload_prefix(size_);
    if (length != size_ || !std::equal(prefix.begin(), prefix.end(), wanted.begin(), wanted.end())) {
      fail("an answer is not what was sent");
    }
    ++done_;
    ++owed_[client.index()];
  }
  void drained(Client& client) override {
    const unsigned n = std::exchange(owed_[client.index()], 0);
    if (n > 0 && sending_) send(client, n);
  }
  void closed(Client&, const std::string& why) override { fail("a connection was lost: " + why); }

 private:
  void octets(Client& client, std::uint64_t length) {
    std::uint64_t& received = received_[client.index()];
    received += length;
    for (; received >= size_; received -= size_) {
      ++done_;
      ++owed_[client.index()];
    }
  }
  void send(Client& client, unsigned n) {
    if (sent_ >= limit_) return;
    sent_ += n;
    client.send(Bytes(reinterpret_cast<const std::uint8_t*>(batch_.data()), n * frame_size_));
  }
  template <typename Done>
  void run(Done done, std::uint64_t patience, const char* what) {
    const std::uint64_t end = now_ns() + patience;
    while (!done()) {
      poller_.poll(100);
      if (now_ns() > end) fail(std::string("waited too long ") + what);
    }
  }

  Poller poller_;
  TlsContext tls_;
  std::size_t size_;
  unsigned depth_;
  bool stream_;
  std::size_t frame_size_;
  std::string batch_;
  std::vector<unsigned> owed_;
  std::vector<std::uint64_t> received_;  // octets of the answer under way, of a stream
  std::size_t opened_ = 0;
  bool sending_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t limit_ = ~std::uint64_t{0};
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace

int run_rtt(Options& options) {
  const Target target = Target::from(options);
  auto pids = options.list<pid_t>("pids");
  const auto connections = options.number("connections", 32U);
  const auto size = options.number<std::size_t>("size", 64);
  const auto depth = options.number("depth", 1U);
  const auto warmup = options.number("warmup", 0.2);
  const auto seconds = options.number("seconds", 1.0);
  const auto count = options.number<std::uint64_t>("count", 0);
  const std::string report = options.text("strace", "");
  const bool stream = options.number("stream", 0) != 0;
  const bool children = options.number("children", 0) != 0;
  options.finish();

  Rtt rtt(target, connections, size, depth, stream);
  if (children) pids = with_children(pids);
  if (!report.empty()) {
    rtt.run_count(connections * depth * 2);  // the first messages, which grow buffers
    SyscallCount calls(pids, report);
    const std::uint64_t before = rtt.done();
    rtt.run_count(count);
    const auto messages = static_cast<double>(rtt.done() - before);
    const auto n = static_cast<double>(calls.stop());
    std::printf("messages=%.0f syscalls=%.0f per_message=%.2f\n", messages, n, n / messages);
    return 0;
  }
  rtt.start();
  rtt.run_for(warmup);
  const double messages_before = rtt.come_back();
  const std::uint64_t time_before = now_ns();
  const std::uint64_t cpu_before = cpu_ns(pids);
  rtt.run_for(seconds);
  const auto cpu = static_cast<double>(cpu_ns(pids) - cpu_before);
  const auto time = static_cast<double>(now_ns() - time_before);
  const double messages = rtt.come_back() - messages_before;
  if (messages <= 0) fail("no message came back");
  rtt.finish();
  std::printf(
      "messages=%.1f seconds=%.3f cpu_us=%.0f us_per_message=%.3f messages_per_second=%.0f cpu_load=%.2f\n",
      messages, time / 1e9, cpu / 1e3, cpu / 1e3 / messages, messages * 1e9 / time, cpu / time);
  return 0;
}

}  // namespace bench
