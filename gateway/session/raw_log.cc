#include "session/raw_log.h"

#include "base/log.h"
#include "session/log_line.h"

namespace sluice::session {

void RawRecord::begin(const http::Request& request, Instant now) {
  started = now;
  words_.reset(new Words{.id = request.id,
                         .client = request.client.ip(),
                         .peer = request.proxy.ip(),
                         .sni = request.tls.sni,
                         .subject = request.tls.client_subject,
                         .san = request.tls.client_san,
                         .tls_version = request.tls.version,
                         .client_port = request.client.port(),
                         .tls_ms = milliseconds(request.tls.handshake)});
}

void log_raw_closing(const RawRecord& record, const ListenerRuntime& listener, const Leg* leg, WallTime wall,
                     Instant now) {
  if (!log::access_enabled()) return;
  const RawRecord::Words& words = *record.words_;
  LogLine line(listener.access_fields);
  line.add("ts", log::timestamp(wall.time_since_epoch().count()));
  line.add("event", "tcp_close");
  line.add("id", words.id);
  line.add("listener", listener.compiled->settings->name);
  line.add("client_ip", words.client).add("client_port", words.client_port).add("peer_ip", words.peer);
  line.add("tls_version", words.tls_version).add("tls_sni", words.sni);
  line.add("tls_client_subject", words.subject).add("tls_client_san", words.san);
  line.add("backend", listener.compiled->cluster->settings().name);
  if (leg) line.add("server", leg->server().settings().url);
  line.add("duration_ms", milliseconds(now - record.started));
  if (!words.tls_version.empty()) line.add("tls_ms", words.tls_ms);
  if (leg) line.add("connect_ms", milliseconds(record.connect));
  line.add("bytes_in", record.octets_in).add("bytes_out", record.octets_out);
  line.add("close_initiator", name(record.first_end));
  line.add_flag("rate_limited", record.rate_limited);
  if (record.error.code != Errc::none) line.add_error(record.error);
  line.write();
}

}  // namespace sluice::session
