#include "upstream/members.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace sluice::upstream {

namespace {

std::string_view scheme_text(Scheme scheme) {
  switch (scheme) {
    case Scheme::ws: return "ws://";
    case Scheme::wss: return "wss://";
    case Scheme::http: return "http://";
    case Scheme::https: return "https://";
    case Scheme::tcp: return "tcp://";
    case Scheme::tls: return "tls://";
  }
  return "";
}

// "_ws._tcp.example.com" → "example.com"
std::string without_service(std::string_view name) {
  while (name.starts_with('_') && name.find('.') != std::string_view::npos) name.remove_prefix(name.find('.') + 1);
  return std::string(name);
}

std::string url_of(Scheme scheme, const Found& found) {
  return std::string(scheme_text(scheme)) + authority(found.host, found.port);
}

}  // namespace

// ---- Group --------------------------------------------------------------------------------------------------------------

Group::Group(ServerSettings settings, std::shared_ptr<Changes> changes, std::shared_ptr<Load> load)
    : settings_(std::move(settings)),
      newest_(settings_),
      changes_(std::move(changes)),
      load_(std::move(load)),
      members_(std::make_shared<const ServerList>()) {}

std::shared_ptr<const ServerList> Group::members() const {
  const std::lock_guard lock(mutex_);
  return members_;
}

// Its name stays that of the configuration, and not what the DNS made of it: certificates are verified by it (RFC 9525 §6.1),
// and Host fields of checks are made of it.
ServerSettings Group::settings_for(const Found& found) const {
  ServerSettings settings = newest_;
  if (settings.discovery == Discovery::services) settings.host = without_service(settings.host);
  settings.url = url_of(newest_.scheme, found);
  settings.port = found.port;
  settings.weight = newest_.weight * found.weight;
  settings.discovery = Discovery::none;
  settings.backup = newest_.backup || found.backup;
  return settings;
}

void Group::configure(const ServerSettings& settings) {
  newest_ = settings;
  const auto now = members();
  for (std::size_t i = 0; i < now->size(); ++i) (*now)[i]->configure(settings_for(found_[i]));
}

bool Group::update(const std::vector<Found>& found) {
  const auto before = members();
  auto after = std::make_shared<ServerList>();
  std::vector<Found> kept;
  ServerList known = *before;
  known.insert(known.end(), left_.begin(), left_.end());
  for (const Found& one : found) {
    const ServerSettings settings = settings_for(one);
    const auto same = [&](const auto& server) { return server->settings().url == settings.url; };
    if (std::ranges::any_of(*after, same)) continue;
    const auto old = std::ranges::find_if(known, same);
    std::shared_ptr<Server> server = old != known.end() ? *old : std::make_shared<Server>(settings, load_);
    if (old == known.end() && !before->empty()) server->cold.store(true, std::memory_order_relaxed);  // it starts slowly
    server->set_addresses(one.addresses);
    server->configure(settings);
    server->vanished.store(false, std::memory_order_relaxed);
    after->push_back(std::move(server));
    kept.push_back(one);
  }
  std::erase_if(left_, [&](const auto& server) {
    return server->active.load(std::memory_order_relaxed) == 0 || std::ranges::find(*after, server) != after->end();
  });
  for (const auto& server : *before) {
    if (std::ranges::find(*after, server) != after->end()) continue;
    server->vanished.store(true, std::memory_order_relaxed);
    left_.push_back(server);
  }
  found_ = std::move(kept);
  if (*after == *before) return false;
  {
    const std::lock_guard lock(mutex_);
    members_ = std::move(after);
  }
  changes_->fetch_add(1, std::memory_order_release);
  load_->line.call_first();
  return true;
}

void Group::set_named(bool named) {
  for (const auto& server : *members()) server->vanished.store(!named, std::memory_order_relaxed);
}

ServerList Group::leaving() {
  std::erase_if(left_, [](const auto& server) { return server->active.load(std::memory_order_relaxed) == 0; });
  return left_;
}

// ---- Roster -------------------------------------------------------------------------------------------------------------

// What one thread has of one roster. The list before stays for as long as a caller may still walk along it.
struct Roster::Copy {
  std::weak_ptr<const char> of;
  std::uint64_t change = 0;
  ServerList list;
  ServerList before;
};

Roster::Roster(std::vector<Entry> entries, std::shared_ptr<const Changes> changes)
    : entries_(std::move(entries)), changes_(std::move(changes)), alive_(std::make_shared<const char>()) {
  grouped_ = std::ranges::any_of(entries_, [](const Entry& entry) { return entry.group != nullptr; });
  if (!grouped_) gather(fixed_);
}

void Roster::gather(ServerList& into) const {
  for (const Entry& entry : entries_) {
    if (entry.server) {
      into.push_back(entry.server);
    } else {
      const auto members = entry.group->members();
      into.insert(into.end(), members->begin(), members->end());
    }
  }
}

std::span<const std::shared_ptr<Server>> Roster::current() const {
  thread_local std::unordered_map<const Roster*, Copy> copies;
  // Before the lists: one that changes meanwhile is read once more next time.
  const std::uint64_t change = changes_->load(std::memory_order_acquire);
  auto at = copies.find(this);
  if (at != copies.end() && at->second.change == change && !at->second.of.expired()) [[likely]] return at->second.list;
  if (at == copies.end() || at->second.of.expired()) {
    std::erase_if(copies, [](const auto& copy) { return copy.second.of.expired(); });
    at = copies.try_emplace(this).first;
    at->second.of = alive_;
  }
  Copy& copy = at->second;
  copy.change = change;
  copy.before = std::exchange(copy.list, {});
  gather(copy.list);
  return copy.list;
}

}  // namespace sluice::upstream
