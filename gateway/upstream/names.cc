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

std::string list_of(const ServerList& servers) {
  std::string text;
  for (const auto& server : servers) text += (text.empty() ? "" : " ") + server->settings().url;
  return text;
}

}  // namespace

// One name. Answers hold it weakly: one that comes after the name has left is dropped.
class Names::Entry : public std::enable_shared_from_this<Names::Entry> {
 public:
  Entry(Names& names, Lookups& lookups, std::string backend, std::string url)
      : names_(names),
        lookups_(lookups),
        backend_(std::move(backend)),
        url_(std::move(url)),
        timer_(names.loop_, [this] { ask(); }) {}
  virtual ~Entry() = default;

  void ask() {
    if (asking_) return;
    asking_ = true;
    if (!lookups_.any()) good_for(Duration::zero());
    question();
  }

 protected:
  virtual void question() = 0;

  template <typename Self>
  auto answer_to(void (Self::*method)(net::Resolver::Answer)) {
    return [weak = weak_from_this(), method](net::Resolver::Answer answer) {
      if (const auto entry = weak.lock()) (static_cast<Self*>(entry.get())->*method)(std::move(answer));
    };
  }

  void succeeded(const std::string& list, Duration ttl) {
    asking_ = false;
    lookups_.count(net::Lookup::ok);
    if (failures_ > 0) said("dns_recovered", Level::info, "addresses", list);
    failures_ = 0;
    good_for(ttl);
    timer_.arm(ttl);
  }

  void failed(net::Lookup result, const std::string& why) {
    asking_ = false;
    lookups_.count(result);
    if (failures_++ == 0) said("dns_failed", Level::warn, "reason", why);
    Duration wait = kFirstRetry;
    for (std::uint32_t i = 1; i < failures_ && wait < kLastRetry; ++i) wait *= 2;
    // A random part, so that a recovering DNS server is not asked by everyone at once.
    wait = std::min(wait, kLastRetry);
    timer_.arm(wait - wait / 100 * static_cast<std::int64_t>(random_below(20)));
  }

  void said(const char* event, Level level, const char* field, const std::string& text) {
    log::event(level, event, {{"backend", backend_}, {"server", url_}, {field, std::string_view(text)}});
  }

  Names& names_;

 private:
  void good_for(Duration time) {
    lookups_.good_until.store((names_.loop_.now() + time).time_since_epoch().count(), std::memory_order_relaxed);
  }

  Lookups& lookups_;
  std::string backend_;
  std::string url_;
  std::uint32_t failures_ = 0;
  bool asking_ = false;
  event::Timer timer_;
};

// A server whose addresses are tried in turn.
class Names::ServerEntry final : public Entry {
 public:
  ServerEntry(Names& names, std::shared_ptr<Server> server, std::string backend)
      : Entry(names, server->lookups, std::move(backend), server->settings().url), server_(std::move(server)) {}

 private:
  void question() override {
    const ServerSettings& settings = server_->settings();
    names_.resolver_.resolve(settings.host, settings.port, answer_to(&ServerEntry::on_answer));
  }

  void on_answer(net::Resolver::Answer answer) {
    if (answer.result != net::Lookup::ok) return failed(answer.result, answer.error);
    const auto before = server_->addresses();
    if (!before.empty() && !same_set(before, answer.addresses)) {
      said("dns_changed", Level::info, "addresses", list_of(answer.addresses));
    }
    const std::string list = list_of(answer.addresses);
    server_->set_addresses(std::move(answer.addresses));
    succeeded(list, answer.ttl);
  }

  std::shared_ptr<Server> server_;
};

// A name that stands for several servers: its addresses, or its SRV records and the addresses of their targets.
class Names::GroupEntry final : public Entry {
 public:
  GroupEntry(Names& names, std::shared_ptr<Group> group, std::string backend)
      : Entry(names, group->lookups, std::move(backend), group->settings().url), group_(std::move(group)) {}

 private:
  void question() override {
    const ServerSettings& settings = group_->settings();
    if (settings.discovery == Discovery::services) {
      names_.resolver_.resolve_services(settings.host, answer_to(&GroupEntry::on_services));
    } else {
      names_.resolver_.resolve(settings.host, settings.port, answer_to(&GroupEntry::on_addresses));
    }
  }

  void on_addresses(net::Resolver::Answer answer) {
    if (answer.result != net::Lookup::ok) return failed(answer.result, answer.error);
    std::vector<Found> found;
    for (const net::Address& address : answer.addresses) {
      found.push_back({address.ip(), address.port(), 1, false, {address}});
    }
    // Answers rotate: the list stays in one order.
    std::ranges::sort(found, {}, &Found::host);
    publish(found, answer.ttl);
  }

  void on_services(net::Resolver::Answer answer) {
    if (answer.result != net::Lookup::ok) return failed(answer.result, answer.error);
    round_ = std::move(answer);
    waiting_ = round_.services.size();
    targets_.assign(waiting_, {});
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      const net::Service& service = round_.services[i];
      names_.resolver_.resolve(service.target, service.port, [weak = weak_from_this(), i](net::Resolver::Answer one) {
        if (const auto entry = weak.lock()) static_cast<GroupEntry*>(entry.get())->on_target(i, std::move(one));
      });
    }
  }

  void on_target(std::size_t index, net::Resolver::Answer answer) {
    targets_[index] = std::move(answer);
    if (--waiting_ > 0) return;
    std::vector<Found> found;
    std::vector<std::uint16_t> priorities;
    Duration ttl = round_.ttl;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      const net::Service& service = round_.services[i];
      Found one{service.target, service.port, service.weight, false, std::move(targets_[i].addresses)};
      // A target that cannot be resolved now keeps its last addresses; one that never was is left out.
      if (one.addresses.empty()) one.addresses = last_addresses(one);
      ttl = std::min(ttl, targets_[i].ttl);
      if (one.addresses.empty()) continue;
      found.push_back(std::move(one));
      priorities.push_back(service.priority);
    }
    if (found.empty()) return failed(targets_.front().result, "no target of its SRV records resolves");
    rank(found, priorities);
    publish(found, ttl);
  }

  // The lowest priority serves, all others stand by. Weight 0 beside others is a very small share (RFC 2782); all 0: equal.
  static void rank(std::vector<Found>& found, const std::vector<std::uint16_t>& priorities) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      found[i].backup = priorities[i] > priorities.front();
      found[i].weight = std::max<std::uint32_t>(1, found[i].weight);
    }
  }

  std::vector<net::Address> last_addresses(const Found& wanted) const {
    for (const Found& known : group_->found()) {
      if (known.host == wanted.host && known.port == wanted.port) return known.addresses;
    }
    return {};
  }

  void publish(const std::vector<Found>& found, Duration ttl) {
    const bool first = !group_->resolved();
    const bool changed = group_->update(found);
    const std::string list = list_of(*group_->members());
    if (changed && !first) said("dns_changed", Level::info, "servers", list);
    succeeded(list, ttl);
    if (changed && names_.changed_) names_.changed_();
  }

  std::shared_ptr<Group> group_;
  // Of SRV records, while their targets are asked for.
  net::Resolver::Answer round_;
  std::vector<net::Resolver::Answer> targets_;
  std::size_t waiting_ = 0;
};

Names::Names(event::Loop& loop, net::Resolver& resolver, std::function<void()> changed)
    : loop_(loop), resolver_(resolver), changed_(std::move(changed)) {}
Names::~Names() = default;

void Names::watch(const std::vector<std::shared_ptr<const Cluster>>& clusters) {
  std::map<const void*, std::shared_ptr<Entry>> before = std::exchange(entries_, {});
  std::vector<std::shared_ptr<Entry>> fresh;
  const auto keep = [&](const void* what, auto make) {
    auto& entry = entries_[what];
    if (entry) return;  // the same twice
    if (const auto known = before.find(what); known != before.end()) {
      entry = std::move(known->second);
    } else {
      entry = make();
      fresh.push_back(entry);
    }
  };
  for (const auto& cluster : clusters) {
    const std::string& backend = cluster->settings().name;
    for (const auto& [server, group] : cluster->entries()) {
      if (group) {
        keep(group.get(), [&] { return std::make_shared<GroupEntry>(*this, group, backend); });
      } else if (server->settings().host != kNamedByClient && !literal_address(server->settings())) {
        keep(server.get(), [&] { return std::make_shared<ServerEntry>(*this, server, backend); });
      }
    }
  }
  for (const auto& entry : fresh) entry->ask();
}

void Names::refresh() {
  for (const auto& [what, entry] : entries_) entry->ask();
}

}  // namespace sluice::upstream
