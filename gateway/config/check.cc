#include "config/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/result.h"

namespace sluice::config {

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

void interpret(const Section& top, Reporter& reporter, Settings& settings) {
  Checker(reporter, settings).run(top);
}

void Checker::run(const Section& top) {
  if (top.good("version") && top.number("version") != 1) {
    error(top.place("version"), fmt::format("version {} is not supported", top.number("version")),
          "this program reads version = 1");
  }
  // Names first: a reference may stand before what it refers to.
  const auto collect = [&top](std::string_view key, Names& names) {
    const Node* node = top.node(key);
    if (node == nullptr) return;
    for (const Member& member : node->members) names.emplace(member.name, member.place);
  };
  collect("auth", auths_);
  collect("rate_limit", limits_);
  collect("backend", backends_);

  server(top.table("server"));
  log(top.table("log"));
  admin(top.table("admin"));
  revocation(top.table("revocation"));
  if (const Section table = top.table("redis")) redis(table);
  for (const auto& [name, section] : top.named("rate_limit")) limit(name, section);
  for (const auto& [name, section] : top.named("auth")) auth(name, section);
  for (const auto& [name, section] : top.named("backend")) backend(name, section);
  for (const Section& section : top.tables("listener")) listener(section);
  listeners_together();
  for (const auto& [name, section] : top.named("auth")) endpoints(name, section.table("endpoints"));
  for (const Section& section : top.tables("route")) route(section);
  const Place whole{};
  if (!top.has("listener"))
    error(whole, "there is no [[listener]]", "[[listener]] with bind = \"127.0.0.1:8080\"");
  const bool only_raw = !settings_.listeners.empty() && raw_listeners_.size() == settings_.listeners.size();
  if (!top.has("route") && !only_raw)
    error(whole, "there is no [[route]]", "[[route]] with path = \"/*\" and backend = \"NAME\"");
  unused();
}

void Checker::server(const Section& section) {
  ServerSettings& out = settings_.server;
  out.workers = static_cast<unsigned>(section.number("workers"));
  out.drain_timeout = section.duration("drain_timeout");
  out.max_connections = static_cast<std::uint64_t>(section.number("max_connections"));
  out.max_handshakes = static_cast<std::uint32_t>(section.number("max_handshakes"));
  constexpr std::uint16_t kDnsPort = 53;
  for (const Text& text : section.texts("resolvers")) {
    auto address = net::Address::parse(text.text, kDnsPort);
    if (!address && !text.text.starts_with(':')) address = net::Address::parse_bind(text.text);
    if (!address || address->is_unix() || address->port() == 0) {
      error(text.place, fmt::format("'{}' is no address of a DNS server", shown(text.text)),
            "write \"10.0.0.53\" or \"10.0.0.53:5353\"");
    } else {
      out.resolvers.push_back(*address);
    }
  }
}

void Checker::log(const Section& section) {
  log::Settings& out = settings_.log;
  const std::string level = section.text("level");
  for (const Level known : {Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
    if (name(known) == level) out.level = known;
  }
  out.file = section.text("file");
  if (out.file != "stderr" && out.file != "stdout") out.file = resolve({out.file, section.place("file")});
  out.access = section.text("access");
  if (out.access == "stderr") {
    error(section.place("access"), "'access' must be \"stdout\", \"off\" or a file");
  } else if (out.access != "stdout" && out.access != "off") {
    out.access = resolve({out.access, section.place("access")});
  }
  out.queue = static_cast<std::size_t>(section.number("queue"));
  for (const Text& field : section.texts("access_fields")) settings_.access_fields.push_back(field.text);
}

void Checker::admin(const Section& section) {
  AdminSettings& out = settings_.admin;
  out.enabled = section.boolean("enabled");
  const std::string bind = section.text("bind");
  const auto address = net::Address::parse_bind(bind);
  if (!address) {
    error(section.place("bind"), fmt::format("'bind' = \"{}\" is no address", shown(bind)),
          "write an address and a port: \"127.0.0.1:9901\"");
    return;
  }
  out.bind = *address;
  if (section.good("token_file")) out.token = Secret(read(section, "token_file", FileKind::token));
  if (out.enabled && !address->is_unix() && !address->is_loopback() && !section.has("token_file")) {
    error(section.place("bind"), fmt::format("the admin listener on {} would be open to everyone", bind),
          "set token_file, or bind to loopback");
  }
}

void Checker::revocation(const Section& section) {
  RevocationSettings& out = settings_.revocation;
  if (section.good("file")) out.file = resolve({section.text("file"), section.place("file")});
  out.max = static_cast<std::uint32_t>(section.number("max"));
}

bool Checker::refers(std::string_view who, std::string_view kind, const Text& text, const Names& names) {
  if (names.contains(text.text)) {
    used_[fmt::format("{} {}", kind, text.text)] = true;
    return true;
  }
  std::vector<std::string_view> candidates;
  for (const auto& [name, place] : names) candidates.push_back(name);
  std::string help = did_you_mean(text.text, candidates);
  if (help.empty() && !candidates.empty() && candidates.size() <= 12) {
    help = fmt::format("defined are {}", fmt::join(candidates, ", "));
  }
  error(text.place, fmt::format("{} refers to {} '{}' which is not defined", who, kind, shown(text.text)),
        std::move(help));
  return false;
}

std::vector<std::string> Checker::references(std::string_view who, std::string_view kind,
                                             const Section& section, std::string_view key,
                                             const Names& names) {
  std::vector<std::string> out;
  for (const Text& text : section.texts(key)) {
    if (!refers(who, kind, text, names)) continue;
    if (std::find(out.begin(), out.end(), text.text) != out.end()) {
      error(text.place, fmt::format("'{}' names '{}' twice", key, text.text));
      continue;
    }
    out.push_back(text.text);
  }
  return out;
}

std::uint16_t Checker::close_code(const Section& section, std::string_view key) {
  const std::int64_t code = section.number(key);
  // RFC 6455 §7.4: 1004-1006 and 1015 are never sent; 1016-2999 belong to extensions and later versions.
  const bool sendable = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || code >= 3000;
  if (!sendable) {
    error(section.place(key), fmt::format("close code {} must not be sent", code),
          "1008, or 3000 to 4999 for your own");
  }
  return static_cast<std::uint16_t>(code);
}

const policy::AuthSettings* Checker::find_auth(std::string_view name) const {
  for (const auto& auth : settings_.auths) {
    if (auth.name == name) return &auth;
  }
  return nullptr;
}

const policy::LimitSettings* Checker::find_limit(std::string_view name) const {
  for (const auto& limit : settings_.limits) {
    if (limit.name == name) return &limit;
  }
  return nullptr;
}

const upstream::BackendSettings* Checker::find_backend(std::string_view name) const {
  for (const auto& backend : settings_.backends) {
    if (backend.name == name) return &backend;
  }
  return nullptr;
}

void Checker::unused() {
  const auto warn = [this](std::string_view kind, const Names& names) {
    for (const auto& [name, place] : names) {
      if (!used_.contains(fmt::format("{} {}", kind, name))) {
        reporter_.warning(place, fmt::format("{} '{}' is not used", kind, shown(name)));
      }
    }
  };
  warn("auth", auths_);
  warn("rate_limit", limits_);
  warn("backend", backends_);
}

}  // namespace sluice::config
