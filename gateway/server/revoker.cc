#include "server/revoker.h"

#include <cstring>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/log.h"

namespace sluice::server {

namespace {

using policy::Revocation;

constexpr auto kLookAfter = std::chrono::seconds(10);
constexpr std::size_t kMostTelling = 16;  // kicks of other gateways that are on their way at a time
constexpr std::size_t kMostSingly = 16;   // entries that are added to the file one by one: each waits for the disk
constexpr std::string_view kByOthers = "cluster";

std::string date(WallTime time) { return log::timestamp(time.time_since_epoch().count()); }

void write_what(JsonWriter& out, const Revocation& what) {
  out.field("kind", what.kind_name());
  if (!what.name.empty()) out.field("name", what.name);
  out.field("value", what.value);
  if (!what.auth.empty()) out.field("auth", what.auth);
  if (!what.issuer.empty()) out.field("issuer", what.issuer);
}

// Who was meant.
std::vector<log::Field> fields_of(const Revocation& what) {
  std::vector<log::Field> fields;
  if (!what.id.empty()) fields.emplace_back("id", what.id);
  fields.emplace_back("kind", what.kind_name());
  if (!what.name.empty()) fields.emplace_back("name", what.name);
  fields.emplace_back("value", what.value);
  if (!what.auth.empty()) fields.emplace_back("auth", what.auth);
  if (!what.issuer.empty()) fields.emplace_back("issuer", what.issuer);
  return fields;
}

AdminReply error_of(int status, std::string_view error) {
  JsonWriter out;
  out.begin_object().field("error", error).end_object();
  return {status, out.take()};
}

}  // namespace

Revoker::Revoker(event::Loop& loop, std::shared_ptr<policy::Revocations> table, Tell tell, DiskCalls disk)
    : loop_(loop),
      table_(std::move(table)),
      tell_(std::move(tell)),
      file_(std::move(disk)),
      timer_(loop, [this] { look_after(); }) {}

bool Revoker::open(const config::RevocationSettings& settings, std::string& why) {
  configure(settings);
  timer_.arm(kLookAfter);
  if (settings.file.empty()) return true;
  std::vector<Revocation> held;
  if (!file_.open(settings.file, held, why)) return false;
  path_ = settings.file;
  for (Revocation& one : held) {
    if (one.expires <= loop_.wall()) continue;
    if (!table_->add(std::move(one))) return why = path_ + ": it holds more than revocation.max allows", false;
  }
  if (file_.torn() > 0) {
    log::event(Level::warn, "revocations_torn", {{"file", path_}, {"octets", std::uint64_t{file_.torn()}}});
  }
  if (!file_.rewrite(table_->list(table_->size()))) say_lost();
  log::event(Level::info, "revocations_loaded", {{"file", path_}, {"in_force", std::uint64_t{table_->size()}}});
  return true;
}

void Revoker::say_lost() {
  log::event(Level::error, "revocations_not_stored", {{"file", path_}, {"error", std::strerror(file_.error())}});
}

// True when it is on the disk, or is not to be.
bool Revoker::store(const Revocation& revocation) {
  if (path_.empty()) return true;
  const bool stored = file_.worn(table_->size()) ? file_.rewrite(table_->list(table_->size())) : file_.add(revocation);
  if (!stored) say_lost();
  return stored;
}

bool Revoker::forget(const Revocation& revocation) {
  if (!file_.behind()) return file_.remove(revocation.id);
  auto others = table_->list(table_->size());
  std::erase(others, &revocation);
  return file_.rewrite(others);
}

// Those that have ended make room; what the disk did not take is tried again.
void Revoker::look_after() {
  timer_.arm(kLookAfter);
  table_->expire(loop_.wall());
  if (path_.empty() || !file_.behind()) return;
  if (!file_.rewrite(table_->list(table_->size()))) return say_lost();
  log::event(Level::info, "revocations_stored", {{"file", path_}, {"in_force", std::uint64_t{table_->size()}}});
}

void Revoker::revoke(const RevokeCommand& command, std::string_view by, std::move_only_function<void(AdminReply)> done) {
  table_->expire(loop_.wall());
  Revocation what = command.what;
  what.made = what.expires = loop_.wall();
  bool stored = true;
  if (command.ttl) {
    what.expires = what.made + std::chrono::ceil<std::chrono::milliseconds>(*command.ttl);
    const Revocation* const entry = table_->add(what);
    if (!entry) return done(error_of(503, "no room: as many revocations are in force as there may be"));
    what = *entry;
    stored = store(what);
  }
  if (share_) share_->made(what, command.ttl.has_value());
  auto kick = std::make_shared<const session::Kick>(std::move(what), table_->seed());
  const bool lives = command.ttl.has_value();
  const char* const action = command.action ? command.action : lives ? "revoke" : "kick";
  tell_(kick, [this, kick, stored, lasts = lives, action, by = std::string(by), done = std::move(done)](
                  std::size_t closed) mutable {
    const Revocation& hit = kick->revocation();
    auto fields = fields_of(hit);
    const std::string expires = date(hit.expires);
    if (lasts) fields.emplace_back("expires", expires);
    fields.emplace_back("closed", std::uint64_t{closed});
    log::audit(action, by, fields);
    JsonWriter out;
    out.begin_object();
    if (!stored) out.field("error", "in force, but the disk did not take it: a restart would forget it");
    out.field("closed", std::uint64_t{closed});
    if (lasts) out.field("id", hit.id).field("expires", expires).field("stored", stored && !path_.empty());
    out.end_object();
    done({stored ? 200 : 500, out.take()});
  });
}

AdminReply Revoker::restore(const std::string& id, std::string_view by) {
  table_->expire(loop_.wall());
  const Revocation* const entry = table_->find(id);
  if (!entry) return error_of(404, "no such revocation");
  const Revocation what = *entry;
  // One that stays on the disk would come back with the next start.
  if (!path_.empty() && !forget(*entry)) {
    say_lost();
    return error_of(500, "still in force: the disk did not take it");
  }
  table_->remove(id);
  if (share_) share_->removed(what);
  log::audit("restore", by, fields_of(what));
  JsonWriter out;
  out.begin_object().field("id", id);
  write_what(out, what);
  out.end_object();
  return {200, out.take()};
}

void Revoker::apply(std::vector<Revocation> entries) {
  table_->expire(loop_.wall());
  std::vector<Revocation> news;
  bool full = false;
  for (Revocation& one : entries) {
    if (one.expires <= loop_.wall()) continue;
    const Revocation* const known = table_->find_same(one);
    if (known && known->made >= one.made && known->expires >= one.expires) continue;
    if (known) one.made = std::max(one.made, known->made);
    if (const Revocation* const entry = table_->add(one)) {
      news.push_back(*entry);
    } else {
      full = true;
      news.push_back(std::move(one));  // its live connections can be closed all the same
    }
  }
  if (full) log::event(Level::error, "revocations_full", {{"in_force", std::uint64_t{table_->size()}}});
  if (!path_.empty() && !news.empty()) {
    if (news.size() > kMostSingly) {
      if (!file_.rewrite(table_->list(table_->size()))) say_lost();
    } else {
      for (const Revocation& one : news) {
        if (!one.id.empty() && !store(one)) break;
      }
    }
  }
  for (Revocation& one : news) kicks_.push_back(std::make_shared<const session::Kick>(std::move(one), table_->seed()));
  tell_next();
}

void Revoker::apply_kick(Revocation what, Instant before) {
  kicks_.push_back(std::make_shared<const session::Kick>(std::move(what), table_->seed(), before));
  tell_next();
}

void Revoker::tell_next() {
  if (std::exchange(in_turn_, true)) return;  // it was called back at once
  while (telling_ < kMostTelling && !kicks_.empty()) {
    auto kick = std::move(kicks_.front());
    kicks_.pop_front();
    ++telling_;
    tell_(kick, [this, kick](std::size_t closed) {
      --telling_;
      if (closed > 0) {
        auto fields = fields_of(kick->revocation());
        fields.emplace_back("closed", std::uint64_t{closed});
        log::audit(kick->revocation().id.empty() ? "kick" : "revoke", kByOthers, fields);
      }
      tell_next();
    });
  }
  in_turn_ = false;
}

void Revoker::withdraw(const Revocation& what) {
  const Revocation* const entry = table_->find_same(what);
  if (!entry || entry->made > what.made) return;
  const Revocation gone = *entry;
  if (!path_.empty() && !forget(*entry)) say_lost();
  table_->remove(gone.id);
  log::audit("restore", kByOthers, fields_of(gone));
}

std::string Revoker::list(std::size_t limit) {
  table_->expire(loop_.wall());
  JsonWriter out;
  out.begin_object().name("revocations").begin_array();
  for (const Revocation* const one : table_->list(limit)) {
    out.begin_object().field("id", one->id);
    write_what(out, *one);
    if (one->allow_newer) out.field("allow_newer", true);
    out.field("made", date(one->made)).field("expires", date(one->expires));
    if (one->code != 0) out.field("code", std::uint64_t{one->code});
    if (!one->reason.empty()) out.field("reason", one->reason);
    out.end_object();
  }
  out.end_array().field("in_force", std::uint64_t{table_->size()}).end_object();
  return out.take();
}

std::size_t Revoker::in_force() {
  table_->expire(loop_.wall());
  return table_->size();
}

}  // namespace sluice::server
