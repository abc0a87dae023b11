#include "server/own_request.h"

#include <algorithm>

#include "event/loop.h"
#include "upstream/target_rules.h"

namespace sluice::server {

namespace {

OwnRequest::Fault fault_of(Errc code) {
  switch (code) {
    case Errc::be_tls: return OwnRequest::Fault::tls;
    case Errc::be_timeout: return OwnRequest::Fault::timeout;
    case Errc::be_connect:
    case Errc::fd_limit:
    case Errc::no_backend: return OwnRequest::Fault::connect;
    default: return OwnRequest::Fault::bad_answer;
  }
}

}  // namespace

bool may_reach(const net::Address& address, bool secure, const std::vector<net::Cidr>& allow) {
  if (address.octets().empty()) return false;
  if (!secure && std::ranges::none_of(allow, [&](const net::Cidr& one) { return one.contains(address); })) return false;
  return std::ranges::all_of(upstream::denied_blocks(), [&](const net::Cidr& denied) {
    return !denied.contains(address) || std::ranges::any_of(allow, [&](const net::Cidr& one) {
      return one.contains(address) && one.within(denied);
    });
  });
}

OwnRequest::OwnRequest(const net::Place& place, net::Resolver& resolver, OwnRequestSettings settings, Done done)
    : place_(place),
      settings_(std::move(settings)),
      done_(std::move(done)),
      until_(place.loop.now() + settings_.timeout),
      failure_{Fault::timeout, "no answer of the DNS in time"},
      end_(place.loop, [this] { std::exchange(done_, nullptr)(std::unexpected(std::move(failure_))); }),
      self_(std::make_shared<OwnRequest*>(this)) {
  end_.arm(settings_.timeout);
  resolver.resolve(settings_.url.host(), settings_.url.port(),
                   [self = std::weak_ptr(self_)](net::Resolver::Answer answer) {
                     if (const auto request = self.lock()) (*request)->resolved(std::move(answer));
                   });
}

OwnRequest::~OwnRequest() = default;

void OwnRequest::resolved(net::Resolver::Answer answer) {
  if (!done_ || client_) return;
  if (answer.result != net::Lookup::ok) return fail(Fault::dns, std::move(answer.error));
  std::erase_if(answer.addresses, [this](const net::Address& address) {
    return !may_reach(address, settings_.url.secure, settings_.allow);
  });
  if (answer.addresses.empty()) return fail(Fault::denied, "its addresses are in networks that are not allowed");
  send(std::move(answer.addresses));
}

void OwnRequest::send(std::vector<net::Address> addresses) {
  end_.cancel();
  http::ClientRequest request;
  request.addresses = std::move(addresses);
  if (settings_.url.secure) request.tls = settings_.tls.get();
  request.name = settings_.url.host();
  request.target = settings_.url.target;
  request.fields = {{"Host", settings_.url.authority.text()}, {"Connection", "close"}, {"User-Agent", "sluice"}};
  request.fields.insert(request.fields.end(), settings_.fields.begin(), settings_.fields.end());
  request.timeout = std::max<Duration>(until_ - place_.loop.now(), Duration::zero());
  request.max_body = settings_.max_body;
  client_ = std::make_unique<http::Client>(
      place_, std::move(request), [this](Result<http::ClientAnswer> answer) { answered(std::move(answer)); });
}

// Nothing of this object is touched behind the call of done_.
void OwnRequest::answered(Result<http::ClientAnswer> answer) {
  auto done = std::exchange(done_, nullptr);
  place_.loop.retire(std::move(client_));  // it is what is calling
  if (answer) return done(std::move(*answer));
  done(std::unexpected(Failure{fault_of(answer.error().code), answer.error().detail}));
}

// In a pass of its own: the resolver may call back from inside the constructor.
void OwnRequest::fail(Fault fault, std::string why) {
  failure_ = {fault, std::move(why)};
  end_.arm(Duration::zero());
}

}  // namespace sluice::server
