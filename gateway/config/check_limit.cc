// Checker: [rate_limit.NAME].
#include <fmt/format.h>

#include "config/check.h"
#include "config/units.h"

namespace sluice::config {
namespace {

using LimitKey = policy::LimitSettings::Key;
using Unit = policy::LimitSettings::Unit;
using Action = policy::LimitSettings::Action;

Unit unit_of(std::string_view text) {
  if (text == "handshakes") return Unit::handshakes;
  if (text == "requests") return Unit::requests;
  if (text == "connections") return Unit::connections;
  return text == "bytes" ? Unit::bytes : Unit::messages;
}

Action action_of(std::string_view text) {
  if (text == "drop") return Action::drop;
  if (text == "close") return Action::close;
  return text == "reject" ? Action::reject : Action::delay;
}

bool before_the_connection(Unit unit) { 
  return unit == Unit::handshakes || unit == Unit::requests || unit == Unit::connections;
}

}  // namespace

void Checker::limit(const std::string& name, const Section& section) {
  policy::LimitSettings out;
  out.name = name;
  out.unit = unit_of(section.text("unit"));
  const std::string key = section.text("key");
  if (key == "connection") {
    out.key = LimitKey::connection;
  } else if (key == "ip") {
    out.key = LimitKey::ip;
  } else if (key == "route") {
    out.key = LimitKey::route;
  } else if (key == "listener") {
    out.key = LimitKey::listener;
  } else if (key.starts_with("claim:") && key.size() > 6) {
    out.key = LimitKey::claim;
    out.claim = key.substr(6);
  } else if (section.good("key")) {
    const std::string help = did_you_mean(key, {"connection", "ip", "claim:", "route", "listener"});
    error(section.place("key"), fmt::format("'key' has the unknown value \"{}\"", shown(key)),
          (help.empty() ? "" : help + " ") + "allowed: connection, ip, claim:NAME, route, listener");
  }
  if (out.key == LimitKey::connection && before_the_connection(out.unit) && !section.refused("unit")) {
    error(section.place("key"), "key = \"connection\" counts only messages or bytes",
          "handshakes, requests and connections are counted by ip, claim:NAME, route or listener");
  }
  if (!section.refused("unit")) {
    limit_amounts(section, out);
    limit_action(section, out);
  }
  out.table = static_cast<std::size_t>(section.number("max_keys"));
  settings_.limits.push_back(std::move(out));
}

void Checker::limit_amounts(const Section& section, policy::LimitSettings& out) {
  if (out.unit == Unit::connections) {
    for (const char* key : {"rate", "burst"}) {
      if (section.has(key))
        error(section.place(key), fmt::format("'{}' has no meaning for connections", key), "set limit");
    }
    if (!section.has("limit")) error(section.place(), "unit = \"connections\" needs 'limit'", "limit = 100");
    out.limit = static_cast<std::uint64_t>(section.number("limit"));
    return;
  }
  const std::string unit = section.text("unit");
  if (section.has("limit")) {
    error(section.place("limit"), fmt::format("'limit' has no meaning for {}", unit), "set rate");
  }
  if (!section.has("rate")) {
    error(section.place(), fmt::format("unit = \"{}\" needs 'rate'", unit),
          out.unit == Unit::bytes ? "rate = \"1MiB/s\"" : "rate = \"50/s\"");
  }
  const bool sized = out.unit == Unit::bytes;
  if (const Node* rate = section.node("rate")) {
    out.rate = static_cast<std::uint64_t>(rate->number);
    out.per = rate->per;
    if (sized && !rate->octets) {
      error(rate->place, fmt::format("'rate' = \"{}\" of bytes has no unit", rate->text), "write \"1MiB/s\"");
    } else if (!sized && rate->octets) {
      error(rate->place, fmt::format("'rate' = \"{}\" of {} must be a bare number", rate->text, unit),
            "write \"50/s\"");
    }
  }
  if (const Node* burst = section.node("burst")) {
    out.burst = static_cast<std::uint64_t>(burst->number);
    if (sized && !burst->octets) {
      error(burst->place, "'burst' of bytes has no unit", fmt::format("write \"{}B\"", burst->integer));
    } else if (!sized && burst->octets) {
      error(burst->place, fmt::format("'burst' of {} must be a bare number", unit));
    }
  }
}

void Checker::limit_action(const Section& section, policy::LimitSettings& out) {
  const bool before = before_the_connection(out.unit);
  out.on_limit = before ? Action::reject : Action::delay;
  if (section.good("on_limit")) {
    const std::string action = section.text("on_limit");
    out.on_limit = action_of(action);
    const bool fits = before ? out.on_limit == Action::reject
                             : out.on_limit != Action::reject &&
                                   (out.on_limit != Action::drop || out.unit == Unit::messages);
    if (!fits) {
      const char* help = before                    ? "allowed: \"reject\""
                         : out.unit == Unit::bytes ? "allowed: \"delay\", \"close\""
                                                   : "allowed: \"delay\", \"drop\", \"close\"";
      error(section.place("on_limit"),
            fmt::format("on_limit = \"{}\" does not fit unit = \"{}\"", action, section.text("unit")), help);
    }
  }
  out.close_code = close_code(section, "close_code");
  if (section.has("close_code") && out.on_limit != Action::close) {
    error(section.place("close_code"), "'close_code' needs on_limit = \"close\"");
  }
}

}  // namespace sluice::config
