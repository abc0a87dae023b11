#include "upstream/names.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "event/timer.h"

namespace sluice::upstream {

namespace {

constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLastRetry = std::chrono::seconds(30);

// DNS servers rotate their answers: only another set is a change.
bool same_set(std::vector<net::Address> a, std::vector<net::Address> b) {
  const auto by_text = [](const net::Address& x, const net::Address& y) { return x.text() < y.text(); };
  std::sort(a.begin(), a.end(), by_text);
  std::sort(b.begin(), b.end(), by_text);
  return a == b;
}

std::string list_of(const std::vector<net::Address>& addresses) {
  std::string text;
  for (const net::Address& address : addresses) text += (text.empty() ? "" : " ") + address.ip();
  return text;
}

}  // namespace

// One server. Answers hold it weakly: one that comes after the server has left is dropped.
class Names::Entry : public std::enable_shared_from_this<Names::Entry> {
 public:
  Entry(event::Loop& loop, net::Resolver& resolver, std::shared_ptr<Server> server, std::string backend)
      : resolver_(resolver),
        server_(std::move(server)),
        backend_(std::move(backend)),
        timer_(loop, [this] { ask(); }) {}

  void ask() {
    const ServerSettings& settings = server_->settings();
    resolver_.resolve(settings.host, settings.port, [weak = weak_from_this()](net::Resolver::Answer answer) {
      if (const auto entry = weak.lock()) entry->on_answer(std::move(answer));
    });
  }

 private:
  void on_answer(net::Resolver::Answer answer) {
    if (answer.addresses.empty()) return failed(answer.error);
    server_->lookups.count(Lookups::Result::ok);
    if (failures_ > 0) said("dns_recovered", Level::info, "addresses", list_of(answer.addresses));
    failures_ = 0;
    const auto before = server_->addresses();
    if (!before.empty() && !same_set(before, answer.addresses)) {
      said("dns_changed", Level::info, "addresses", list_of(answer.addresses));
    }
    server_->set_addresses(std::move(answer.addresses));
    timer_.arm(answer.ttl);
  }

  void failed(const std::string& why) {
    server_->lookups.count(Lookups::Result::failed);
    if (failures_++ == 0) said("dns_failed", Level::warn, "reason", why);
    Duration wait = kFirstRetry;
    for (std::uint32_t i = 1; i < failures_ && wait < kLastRetry; ++i) wait *= 2;
    // A random part, so that a recovering DNS server is not asked by everyone at once.
    wait = std::min(wait, kLastRetry);
    timer_.arm(wait - wait / 100 * static_cast<std::int64_t>(random_below(20)));
  }

  void said(const char* event, Level level, const char* field, const std::string& text) {
    log::event(level, event,
               {{"backend", backend_}, {"server", server_->settings().url}, {field, std::string_view(text)}});
  }

  net::Resolver& resolver_;
  std::shared_ptr<Server> server_;
  std::string backend_;
  std::uint32_t failures_ = 0;
  event::Timer timer_;
};

Names::Names(event::Loop& loop, net::Resolver& resolver) : loop_(loop), resolver_(resolver) {}
Names::~Names() = default;

void Names::watch(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  std::map<const Server*, std::shared_ptr<Entry>> before = std::exchange(entries_, {});
  std::vector<std::shared_ptr<Entry>> fresh;
  for (const auto& cluster : clusters) {
    for (const auto& [server, group] : cluster->entries()) {
      if (!server) continue;
      if (server->settings().host == kNamedByClient || literal_address(server->settings())) continue;
      auto& entry = entries_[server.get()];
      if (entry) continue;  // the same server twice
      if (const auto known = before.find(server.get()); known != before.end()) {
        entry = std::move(known->second);
      } else {
        entry = std::make_shared<Entry>(loop_, resolver_, server, cluster->settings().name);
        fresh.push_back(entry);
      }
    }
  }
  for (const auto& entry : fresh) entry->ask();
}

void Names::refresh() {
  for (const auto& [server, entry] : entries_) entry->ask();
}

}  // namespace sluice::upstream
