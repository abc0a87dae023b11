// Checker: [route.survive].
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "config/check.h"

namespace sluice::config {

namespace {

// A close code as text, as it may come from a server; 0: it is none.
std::uint16_t received_code(std::string_view text) {
  std::uint16_t code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  const bool all = error == std::errc() && end == text.data() + text.size();
  return all && code >= 1000 && code <= 4999 ? code : std::uint16_t{0};
}

}  // namespace

void Checker::survive(const Section& section, RouteSettings& out) {
  const Section table = section.table("survive");
  SurviveSettings survive;
  const std::string policy = table.text("in_flight");
  survive.in_flight = policy == "hold" ? InFlight::hold : policy == "fail" ? InFlight::fail : InFlight::drop;
  survive.timeout = table.duration("timeout");
  survive.retry = table.duration("retry");
  survive.buffer = static_cast<std::size_t>(table.number("buffer"));
  survive.close_code = close_code(table, "close_code");
  survive.codes.clear();
  for (const Text& text : table.texts("codes")) {
    const std::uint16_t code = received_code(text.text);
    if (code == 0) {
      error(text.place, fmt::format("\"{}\" is no close code", shown(text.text)),
            "a number from 1000 to 4999 as a string; \"1006\" is an end without Close");
    } else if (std::ranges::find(survive.codes, code) != survive.codes.end()) {
      error(text.place, fmt::format("close code {} is listed twice", code));
    } else {
      survive.codes.push_back(code);
    }
  }
  if (table.good("codes") && survive.codes.empty()) {
    error(table.place("codes"), "'codes' is empty: there is nothing to survive", "leave [route.survive] out");
  }
  survive_backend(table, out);

  const Section ws = section.table("websocket");
  out.websocket.forward_pings = out.websocket.pass_compression = false;
  if (ws.good("ping") && ws.text("ping") == "forward") {
    reporter_.warning(ws.place("ping"), "pings are answered by the gateway on routes with survive");
  }
  if (ws.good("compression") && ws.text("compression") == "pass") {
    reporter_.warning(ws.place("compression"), "compression is off because of survive");
  }
  out.survive = std::move(survive);
}

// Where a message begins must be known: another server can go on only from there.
void Checker::survive_backend(const Section& table, const RouteSettings& out) {
  const upstream::BackendSettings* backend = find_backend(out.backend);
  if (backend == nullptr || backend->servers.empty()) return;
  if (upstream::bridged(backend->servers.front().scheme) && !backend->framing.framed()) {
    error(table.place(), fmt::format("survive before backend '{}', which speaks raw TCP", backend->name),
          "octets without message boundaries cannot be continued on another connection; give the backend a framing");
  }
}

}  // namespace sluice::config
