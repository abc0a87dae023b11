#include "session/external_check.h"

namespace sluice::session {

using policy::ExternalAuth;

ExternalCheck::ExternalCheck(House& house, net::Ready& ready, const policy::Method& method, http::ClientRequest question)
    : house_(house), ready_(ready), method_(method), question_(std::move(question)), key_(ExternalAuth::key_of(question_)) {}

ExternalCheck::~ExternalCheck() {
  if (begun_) service().abandoned();
  if (client_) house_.loop.retire(std::move(client_));  // this may run inside its call
}

std::unexpected<Error> ExternalCheck::give_up(const char* why) {
  begun_ = false;
  service().ended(false, house_.loop.now());
  return fail(Errc::auth_unavailable, Side::gateway, why);
}

Result<std::optional<ExternalCheck::Answer>> ExternalCheck::advance() {
  const Instant now = house_.loop.now();
  if (!begun_) {
    if (const ExternalAuth::Yes* const yes = service().known(key_, now)) return Answer{*yes, {}};
    TRY_VOID(service().begin(now));
    begun_ = true;
    deadline_ = now + service().settings().timeout;
  }
  if (awaited_->answer) return TRY(judge());
  if (now >= deadline_) return give_up("the external check took too long");
  if (!client_ && TRY(resolve())) send();
  return std::nullopt;
}

Result<bool> ExternalCheck::resolve() {
  const policy::ExternalSettings& settings = service().settings();
  if (const auto literal = net::Address::parse(settings.host, settings.port)) {
    question_.addresses = {*literal};
    return true;
  }
  if (!lookup_) lookup_ = std::make_unique<NameLookup>(house_, ready_, settings.host);
  const std::vector<net::Address>* const found = lookup_->addresses();
  if (!found) return false;
  if (found->empty()) return give_up("the name of the external check has no address");
  question_.addresses = *found;
  for (net::Address& address : question_.addresses) address.set_port(settings.port);
  return true;
}

void ExternalCheck::send() {
  const policy::ExternalSettings& settings = service().settings();
  question_.timeout = deadline_ - house_.loop.now();
  question_.tls = method_.external_tls;
  question_.name = settings.server_name.empty() ? settings.host : settings.server_name;
  const net::Way way{question_.tls, question_.name, {}};
  client_ = std::make_unique<http::Client>(
      house_.place, std::move(question_),
      [weak = std::weak_ptr(awaited_)](Result<http::ClientAnswer> answer) {
        const auto awaited = weak.lock();
        if (!awaited) return;
        awaited->answer.emplace(std::move(answer));
        awaited->ready.on_ready();
      },
      [&house = house_, way](const net::Address& address, net::Ready& ready) { return house.dial(address, way, ready); });
}

Result<ExternalCheck::Answer> ExternalCheck::judge() {
  if (!*awaited_->answer) return give_up("the external check cannot be reached");
  Result<Answer> verdict = service().judge(**awaited_->answer);
  const Instant now = house_.loop.now();
  begun_ = false;
  service().ended(verdict.has_value(), now);
  if (verdict && verdict->yes) service().remember(key_, **awaited_->answer, *verdict->yes, now);
  return verdict;
}

}  // namespace sluice::session
