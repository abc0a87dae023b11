#include "base/log.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/event_limit.h"
#include "base/json.h"
#include "base/log_target.h"

namespace sluice::log {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::uint32_t kEventsASecond = 10;
constexpr std::size_t kMostValue = 1024;
constexpr std::size_t kMostOctets = 64 * 1024 * 1024;  // that may wait in one log, however long its lines are
constexpr std::size_t kBatch = 256 * 1024;             // octets handed to the target at once
// The writer lets lines gather. While they keep coming it wakes by itself; only the line that ends a silence wakes it.
constexpr auto kGather = std::chrono::milliseconds(50);

// The queue of one log and the thread that empties it. spdlog formats and owns the sink; the queue is ours, because its
// thread pool allocates every slot at the start (27 MB for 65536), can only lose the oldest line, and joins a blocked
// thread when it ends. Never destroyed: a worker may be inside push() while the log closes.
class Writer {
 public:
  Writer(std::unique_ptr<LogTarget> target, std::size_t most);

  void push(std::string&& line);
  // Lines of batches that begin from now on go there.
  void retarget(std::unique_ptr<LogTarget> target);
  void set_most(std::size_t most);
  bool reopen();
  // Writes out what waits until then and ends the thread; one that the device holds up is left behind.
  void stop(Steady::time_point until);
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  class Sink;
  void run();
  bool take(std::vector<std::string>& batch);
  void deliver(std::string& text);
  std::unique_ptr<LogTarget> take_next();
  void drop(std::uint64_t lines) { dropped_.fetch_add(lines, std::memory_order_relaxed); }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable ended_;
  std::vector<std::string> lines_;
  std::size_t octets_ = 0;
  std::size_t most_;
  bool asleep_ = false;
  bool stopping_ = false;
  bool done_ = false;
  std::string name_;                 // of the target in use or next in use
  bool has_path_;
  std::unique_ptr<LogTarget> next_;  // takes the place of target_ before the next write

  std::atomic<bool> retargeted_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<std::uint64_t> dropped_{0};

  std::unique_ptr<LogTarget> target_;  // the thread's own from here on
  std::shared_ptr<spdlog::logger> logger_;
  std::thread thread_;
};

// What spdlog calls: gathers the formatted lines and delivers them in batches. Only the writer's thread is in it.
class Writer::Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit Sink(Writer& writer) : writer_(writer) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    text_.append(formatted.data(), formatted.size());
    if (text_.size() >= kBatch) flush_();
  }
  void flush_() override {
    writer_.deliver(text_);
    text_.clear();
  }

 private:
  Writer& writer_;
  std::string text_;
};

Writer::Writer(std::unique_ptr<LogTarget> target, std::size_t most)
    : most_(most),
      name_(target->name()),
      has_path_(target->has_path()),
      target_(std::move(target)),
      logger_(std::make_shared<spdlog::logger>("sluice", std::make_shared<Sink>(*this))) {
  logger_->set_pattern("%v");
  // Signals belong to the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "sluice-log");
}

void Writer::push(std::string&& line) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (done_ || stopping_ || lines_.size() >= most_ || octets_ + line.size() > kMostOctets) return drop(1);
    octets_ += line.size();
    lines_.push_back(std::move(line));
    // Once for the line that ends a sleep, and once when gathering any longer could lose lines.
    wake = std::exchange(asleep_, false) || lines_.size() == most_ / 2;
  }
  if (wake) filled_.notify_one();
}

bool Writer::take(std::vector<std::string>& batch) {
  const auto gathered = [this] { return stopping_ || lines_.size() >= most_ / 2; };
  std::unique_lock lock(mutex_);
  filled_.wait_for(lock, kGather, gathered);
  if (lines_.empty() && !stopping_) {
    asleep_ = true;
    filled_.wait(lock, [this] { return !lines_.empty() || stopping_; });
    asleep_ = false;
    filled_.wait_for(lock, kGather, gathered);
  }
  batch.swap(lines_);
  octets_ = 0;
  return !batch.empty() || !stopping_;
}

void Writer::run() {
  std::vector<std::string> batch;
  while (take(batch)) {
    for (const std::string& line : batch) logger_->log(spdlog::level::info, spdlog::string_view_t(line));
    logger_->flush();
    batch.clear();
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  ended_.notify_all();
}

void Writer::deliver(std::string& text) {
  std::string_view rest = text;
  const auto give_up = [this] { return abandoned_.load() || retargeted_.load(); };
  while (!rest.empty()) {
    if (auto next = take_next()) target_ = std::move(next);
    const std::uint64_t lost = target_->lost();
    rest.remove_prefix(target_->write(rest, give_up));
    drop(target_->lost() - lost);
    if (abandoned_.load()) return drop(static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n')));
  }
}

std::unique_ptr<LogTarget> Writer::take_next() {
  if (!retargeted_.load()) return nullptr;
  const std::lock_guard lock(mutex_);
  retargeted_.store(false);
  return std::move(next_);
}

void Writer::retarget(std::unique_ptr<LogTarget> target) {
  std::unique_ptr<LogTarget> never_used;
  const std::lock_guard lock(mutex_);
  name_ = target->name();
  has_path_ = target->has_path();
  never_used = std::exchange(next_, std::move(target));
  retargeted_.store(true);
}

void Writer::set_most(std::size_t most) {
  const std::lock_guard lock(mutex_);
  most_ = most;
}

bool Writer::reopen() {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (!has_path_) return true;
    name = name_;
  }
  std::string why;
  auto target = LogTarget::open(name, why);
  if (!target) return false;
  retarget(std::move(target));
  return true;
}

void Writer::stop(Steady::time_point until) {
  std::unique_lock lock(mutex_);
  if (done_) return;
  stopping_ = true;
  filled_.notify_one();
  // The last tenth of a second is for the thread to see that it is to give up.
  if (!ended_.wait_until(lock, until - std::chrono::milliseconds(100), [this] { return done_; })) {
    abandoned_.store(true);
    ended_.wait_until(lock, until, [this] { return done_; });
  }
  const bool done = done_;
  lock.unlock();
  if (done) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

struct Logs {
  std::mutex control;  // of open, reopen and close
  std::vector<std::unique_ptr<Writer>> writers;  // every one that was ever made
  Writer* own_access = nullptr;                  // the access log's, when it does not share the events'
  std::atomic<Writer*> events{nullptr};
  std::atomic<Writer*> access{nullptr};
  std::atomic<Level> level{Level::info};
  std::mutex limit_mutex;
  EventLimit limit{kEventsASecond};
};

// Never destroyed: other threads may log while the process ends.
Logs& logs() {
  static Logs* const all = new Logs;
  return *all;
}

Writer* put(Logs& all, Writer* writer, std::unique_ptr<LogTarget> target, std::size_t most) {
  if (writer) {
    writer->set_most(most);
    writer->retarget(std::move(target));
    return writer;
  }
  all.writers.push_back(std::make_unique<Writer>(std::move(target), most));
  return all.writers.back().get();
}

std::int64_t now_milliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now().time_since_epoch()).count();
}

std::int64_t wall_milliseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// At most kMostValue octets, without cutting a code point in two.
std::string_view cut(std::string_view text) {
  if (text.size() <= kMostValue) return text;
  std::size_t end = kMostValue;
  while (end > kMostValue - 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string event_line(Level level, std::string_view name, std::span<const Field> fields, std::uint64_t left_out) {
  std::string line = R"({"ts":")" + timestamp(wall_milliseconds()) + R"(","level":")";
  line.append(sluice::name(level)).append(R"(","event":)").append(json_quote(cut(name)));
  for (const Field& field : fields) {
    line.append(",").append(json_quote(field.name)).append(":");
    line.append(field.is_number ? std::to_string(field.number) : json_quote(cut(field.text)));
  }
  if (left_out > 0) line.append(R"(,"suppressed":)").append(std::to_string(left_out));
  line.append("}");
  return line;
}

void write_now(std::string line) {
  line.push_back('\n');
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (n <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

void push(std::string line) {
  if (Writer* writer = logs().events) {
    writer->push(std::move(line));
  } else {
    write_now(std::move(line));
  }
}

}  // namespace

bool open(const Settings& settings, std::string& why) {
  Logs& all = logs();
  const std::lock_guard lock(all.control);
  auto events = LogTarget::open(settings.file, why);
  if (!events) return false;
  // One place, one writer: two of them would cut into each other's lines.
  const bool shared = settings.access == settings.file;
  std::unique_ptr<LogTarget> access;
  if (!shared && settings.access != "off") {
    access = LogTarget::open(settings.access, why);
    if (!access) return false;
  }
  all.events = put(all, all.events, std::move(events), settings.queue);
  if (access) all.own_access = put(all, all.own_access, std::move(access), settings.queue);
  all.access = settings.access == "off" ? nullptr : shared ? all.events.load() : all.own_access;
  set_level(settings.level);
  return true;
}

bool reopen() {
  Logs& all = logs();
  const std::lock_guard lock(all.control);
  bool well = true;
  if (Writer* events = all.events) well = events->reopen() && well;
  Writer* access = all.access;
  if (access && access != all.events) well = access->reopen() && well;
  return well;
}

void close(int milliseconds) {
  Logs& all = logs();
  const std::lock_guard lock(all.control);
  const auto until = Steady::now() + std::chrono::milliseconds(milliseconds);
  all.access = nullptr;
  Writer* const events = all.events.exchange(nullptr);
  if (Writer* access = std::exchange(all.own_access, nullptr)) access->stop(until);
  if (events) events->stop(until);
}

void set_level(Level level) { logs().level.store(level, std::memory_order_relaxed); }
Level level() { return logs().level.load(std::memory_order_relaxed); }
bool enabled(Level level) { return level != Level::off && level >= log::level(); }

void event(Level level, std::string_view name, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  Logs& all = logs();
  std::optional<std::uint64_t> left_out;
  {
    const std::lock_guard lock(all.limit_mutex);
    left_out = all.limit.admit(name, now_milliseconds());
  }
  if (!left_out) return;
  push(event_line(level, name, fields, *left_out));
}

void audit(std::string_view action, std::string_view by, std::span<const Field> fields) {
  if (level() == Level::off) return;
  std::vector<Field> all{{"action", action}, {"by", by}};
  all.insert(all.end(), fields.begin(), fields.end());
  push(event_line(Level::info, "audit", all, 0));
}

bool access_enabled() { return logs().access.load(std::memory_order_acquire) != nullptr; }

void access(std::string line) {
  if (Writer* writer = logs().access.load(std::memory_order_acquire)) writer->push(std::move(line));
}

std::uint64_t dropped() {
  Logs& all = logs();
  const std::lock_guard lock(all.control);
  std::uint64_t sum = 0;
  for (const auto& writer : all.writers) sum += writer->dropped();
  return sum;
}

std::string timestamp(std::int64_t milliseconds_since_1970) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds(milliseconds_since_1970)};
  const auto second = floor<seconds>(at);
  // Lines come many a second: date and time are written out once for each.
  thread_local auto written = sys_seconds::max();
  thread_local std::string text;
  if (second != written) {
    const auto day = floor<days>(second);
    const year_month_day date{day};
    const hh_mm_ss<seconds> time{second - day};
    text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count());
    written = second;
  }
  const auto rest = (at - second).count();
  std::string out;
  out.reserve(text.size() + 4);
  out.append(text);
  for (const auto unit : {100, 10, 1}) out.push_back(static_cast<char>('0' + rest / unit % 10));
  out.push_back('Z');
  return out;
}

}  // namespace sluice::log
