// renew_connection: {"connection": "ID"} is looked for on all workers.
#include <chrono>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "session/errand.h"
#include "session/opening.h"

namespace sluice::session {

namespace {

constexpr auto kMostWait = std::chrono::seconds(5);
constexpr std::size_t kMostId = 256;
constexpr JsonLimits kBody{.octets = 8 * 1024, .depth = 2, .members = 4};

// Nothing else than the id; nullopt: it is not that.
std::optional<std::string> id_in(std::string_view body) {
  const auto json = Json::parse(body, kBody);
  if (!json || !json->is(Json::Type::object) || json->members().size() != 1) return std::nullopt;
  const Json* const id = json->find("connection");
  if (!id || !id->is(Json::Type::string) || id->text().empty() || id->text().size() > kMostId) return std::nullopt;
  return id->text();
}

class RenewConnection final : public Errand {
 public:
  RenewConnection(House& house, net::Ready& ready, std::shared_ptr<const config::Snapshot> snapshot, Opening& opening,
                  const std::string& body)
      : house_(house), opening_(opening), deadline_(house.loop.now() + kMostWait), work_(std::make_shared<Work>(&ready)) {
    std::optional<std::string> id = id_in(body);
    if (!id) {
      work_->renewed = fail(Errc::bad_body, Side::client, "no {\"connection\": \"ID\"}");
      return;
    }
    // Other workers read it, longer than this request may last: what it points at is the snapshot's.
    struct Fresh {
      std::shared_ptr<const config::Snapshot> snapshot;
      policy::Authenticated authenticated;
    };
    auto fresh = std::make_shared<const Fresh>(std::move(snapshot), opening.authenticated);
    std::shared_ptr<const policy::Authenticated> authenticated(fresh, &fresh->authenticated);
    house.renew_anywhere(std::move(*id), std::move(authenticated), opening.words.client, [weak = std::weak_ptr(work_)](Result<bool> renewed) {
      const std::shared_ptr<Work> work = weak.lock();
      if (!work) return;
      // Whose it is and how it stands is for its own subject to know: to all others it is not there.
      if (renewed && *renewed) {
        work->renewed = Result<void>();
      } else if (!renewed && renewed.error().code == Errc::refresh_busy) {
        work->renewed = fail(renewed.error());
      } else {
        work->renewed = fail(Errc::no_connection, Side::client, "no such connection of that identity");
      }
      if (work->waited) work->ready->on_ready();
    });
    work_->waited = true;
  }

  Result<std::optional<std::string>> advance() override {
    if (!work_->renewed && house_.loop.now() < deadline_) return std::nullopt;
    if (!work_->renewed) return fail(Errc::auth_unavailable, Side::gateway, "the workers do not answer");
    if (!*work_->renewed) return fail(work_->renewed->error());
    const policy::Identity& identity = opening_.authenticated.identity;
    JsonWriter out;
    out.begin_object().name("expires");
    if (identity.expires) {
      out.value(log::timestamp(identity.expiry.time_since_epoch().count()));
    } else {
      out.null();
    }
    out.end_object();
    return out.take();
  }
  Instant deadline() const override { return deadline_; }

 private:
  struct Work {
    net::Ready* ready;
    bool waited = false;  // renew_anywhere() has returned: an answer comes by itself
    std::optional<Result<void>> renewed{};
  };

  House& house_;
  Opening& opening_;
  Instant deadline_;
  std::shared_ptr<Work> work_;
};

}  // namespace

std::unique_ptr<Errand> renew_connection(House& house, net::Ready& ready, std::shared_ptr<const config::Snapshot> snapshot,
                                         Opening& opening, const std::string& body) {
  return std::make_unique<RenewConnection>(house, ready, std::move(snapshot), opening, body);
}

}  // namespace sluice::session
