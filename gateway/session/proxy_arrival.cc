#include "session/proxy_arrival.h"

#include "base/log.h"
#include "session/arrival.h"

namespace sluice::session {

namespace {

constexpr auto kHeaderTimeout = std::chrono::seconds(3);  // proxy-protocol.txt §2: three seconds or more

}  // namespace

ProxyArrival::ProxyArrival(House& house, Admission admission, net::Fd fd, std::shared_ptr<const Runtime> runtime,
                           std::size_t listener, const net::Address& proxy)
    : StreamOwner(house),
      admission_(std::move(admission)),
      runtime_(std::move(runtime)),
      listener_(listener),
      proxy_(proxy),
      preamble_(house.loop, std::move(fd), *this),
      deadline_(house.loop, [this] {
        late_ = true;
        wake();
      }) {
  deadline_.arm_common(kHeaderTimeout);
}

Step ProxyArrival::advance() {
  switch (preamble_.advance()) {
    case Io::ok: break;
    case Io::blocked:
      if (late_) return refuse({Errc::proxy_timeout, Side::client, false, "no PROXY header in time"});
      return Step::wait;
    case Io::end: return refuse({Errc::proxy_hdr, Side::client, false, "the connection ended before its PROXY header"});
    case Io::error: return refuse(preamble_.error());
  }
  const net::ProxyHeader& header = preamble_.header();
  net::Fd fd = preamble_.take();
  Ends ends{header.source, header.destination, proxy_};
  // A proxy that speaks for itself (a health check) is its own client.
  if (header.source.empty()) ends = ends_of(proxy_, fd.get(), *runtime_->listeners[listener_].compiled->settings);
  house_.adopt(speak(house_, std::move(admission_), std::move(fd), std::move(runtime_), listener_, ends));
  return Step::done;
}

Step ProxyArrival::refuse(const Error& error) {
  proxy_refused(house_, runtime_->listeners[listener_], proxy_, error);
  const net::Fd fd = preamble_.take();
  net::set_abort_on_close(fd.get());
  return Step::done;
}

void proxy_refused(House& house, const ListenerRuntime& listener, const net::Address& peer, const Error& error) {
  house.tally.rejects[static_cast<std::size_t>(error.code)].add();
  log::event(Level::info, "proxy_refused",
             {{"listener", listener.compiled->settings->name},
              {"peer_ip", peer.ip()},
              {"reason", row(error.code).name},
              {"error", std::string_view(error.detail)}});
}

}  // namespace sluice::session
