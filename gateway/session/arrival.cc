#include "session/arrival.h"

#include <algorithm>

#include "base/log.h"
#include "session/h1_front.h"
#include "session/proxy_arrival.h"
#include "session/raw_front.h"

namespace sluice::session {

namespace {

// Every ALPN name that is served today is HTTP/1.1; another Front would be chosen here.
std::unique_ptr<StreamOwner> front(House& house, Admission admission, std::unique_ptr<net::Stream> stream,
                                   std::shared_ptr<const Runtime> runtime, std::size_t listener, const Ends& ends,
                                   http::TlsFacts tls) {
  if (runtime->listeners[listener].compiled->cluster) {
    return std::make_unique<RawFront>(house, std::move(admission), std::move(stream), std::move(runtime), listener, ends,
                                      std::move(tls));
  }
  return std::make_unique<H1Front>(house, std::move(admission), std::move(stream), std::move(runtime), listener, ends,
                                   std::move(tls));
}

}  // namespace

Arrival::Arrival(House& house, Admission admission, net::Fd fd, std::shared_ptr<const Runtime> runtime,
                 std::size_t listener, const Ends& ends)
    : StreamOwner(house),
      admission_(std::move(admission)),
      runtime_(std::move(runtime)),
      listener_(listener),
      ends_(ends),
      started_(house.loop.now()),
      stream_(std::make_unique<net::TlsStream>(house.place, std::move(fd), runtime_->listeners[listener].tls->accept(),
                                               false)),
      deadline_(house.loop, [this] {
        late_ = true;
        wake();
      }) {
  stream_->set_ready(this);
  deadline_.arm_common(runtime_->listeners[listener].compiled->settings->tls_timeout);
}

void Arrival::count(bool done) {
  ListenerTally& tally = *runtime_->listeners[listener_].tally;
  if (!done) {
    tally.tls_failed.add();
    house_.tally.rejects[static_cast<std::size_t>(late_ ? Errc::tls_timeout : Errc::tls_failed)].add();
    return;
  }
  tally.tls[stream_->version() == "TLSv1.3" ? 1 : 0][stream_->resumed() ? 1 : 0].add();
  tally.tls_seconds.observe(std::chrono::duration<double>(house_.loop.now() - started_).count());
}

Step Arrival::advance() {
  while (!stream_->established()) {
    if (late_) {
      count(false);
      return Step::done;
    }
    const Io io = stream_->fill();
    stream_->settle();
    if (stream_->established()) break;
    if (io == Io::blocked) return Step::wait;
    if (io != Io::ok) {
      count(false);
      if (log::enabled(Level::debug)) {
        log::event(Level::debug, "tls_failed", {{"client_ip", ends_.peer.ip()}, {"error", stream_->failure()}});
      }
      if (stream_->crl_unusable()) {  // nobody gets in until there is another
        log::event(Level::error, "crl_unusable",
                   {{"listener", runtime_->listeners[listener_].compiled->settings->name}, {"error", stream_->failure()}});
      }
      return Step::done;
    }
  }
  count(true);
  http::TlsFacts facts;
  facts.active = true;
  facts.version = stream_->version();
  facts.sni = stream_->sni();
  facts.alpn = stream_->alpn();
  facts.handshake = house_.loop.now() - started_;
  facts.client_cert = stream_->has_client_certificate();
  if (facts.client_cert) {
    facts.client_subject = stream_->client_subject();
    facts.client_name = stream_->client_name();
    facts.client_san = stream_->client_san();
    facts.certificate = stream_->client_certificate();
  }
  house_.adopt(front(house_, std::move(admission_), std::move(stream_), std::move(runtime_), listener_, ends_,
                     std::move(facts)));
  return Step::done;
}

std::unique_ptr<StreamOwner> receive(House& house, Admission admission, net::Fd fd,
                                     std::shared_ptr<const Runtime> runtime, std::size_t listener,
                                     const net::Address& peer) {
  const config::ListenerSettings& settings = *runtime->listeners[listener].compiled->settings;
  if (!peer.is_unix()) {
    net::set_bounds(fd.get(), {.notsent_lowat = settings.notsent_lowat, .send_buffer = settings.send_buffer});
  }
  if (!settings.proxy_protocol) {
    const Ends ends = ends_of(peer, fd.get(), settings);
    return speak(house, std::move(admission), std::move(fd), std::move(runtime), listener, ends);
  }
  const auto holds_peer = [&peer](const net::Cidr& block) { return block.contains(peer); };
  if (std::ranges::none_of(settings.proxy_protocol_from, holds_peer)) {
    proxy_refused(house, runtime->listeners[listener], peer,
                  {Errc::proxy_untrusted, Side::client, false, "not in proxy_protocol_from"});
    net::set_abort_on_close(fd.get());
    return nullptr;
  }
  return std::make_unique<ProxyArrival>(house, std::move(admission), std::move(fd), std::move(runtime), listener, peer);
}

std::unique_ptr<StreamOwner> speak(House& house, Admission admission, net::Fd fd, std::shared_ptr<const Runtime> runtime,
                                   std::size_t listener, const Ends& ends) {
  if (runtime->listeners[listener].tls) {
    return std::make_unique<Arrival>(house, std::move(admission), std::move(fd), std::move(runtime), listener, ends);
  }
  auto stream = std::make_unique<net::TcpStream>(house.place, std::move(fd), false);
  return front(house, std::move(admission), std::move(stream), std::move(runtime), listener, ends, {});
}

Ends ends_of(const net::Address& peer, int fd, const config::ListenerSettings& listener) {
  // The kernel is asked only where the bind does not say it: it names any address, or port 0.
  const auto any = [](std::uint8_t octet) { return octet == 0; };
  const bool known = listener.bind.port() != 0 && !std::ranges::all_of(listener.bind.octets(), any);
  return {peer, known ? listener.bind : net::local_address(fd), {}};
}

}  // namespace sluice::session
