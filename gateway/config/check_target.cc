// Checker: [route.target]: servers that clients name.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "config/check.h"

namespace sluice::config {
namespace {

using upstream::TargetSettings;

// Blank, or a comment.
bool says_nothing(std::string_view line) { return line.empty() || line.front() == '#'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

void Checker::target(const Section& section, RouteSettings& out) {
  const upstream::BackendSettings* backend = find_backend(out.backend);
  const bool open = backend != nullptr && std::ranges::any_of(backend->servers, [](const auto& server) {
                      return server.host == upstream::kNamedByClient;
                    });
  if (!section.has("target")) {
    if (open) {
      error(section.place("backend"), fmt::format("backend '{}' has the server tcp://*, but the route has no target", out.backend),
            "say where its servers are named: [route.target] from = \"claim:target\"");
    }
    return;
  }
  if (!section.good("target")) return;
  const Section table = section.table("target");
  if (backend != nullptr && !backend->servers.empty() && !open) {
    error(section.place("backend"), fmt::format("'target' needs a backend whose server is tcp://*, and '{}' names its own", out.backend));
  }
  // Whoever may name servers would be whoever may connect.
  if (!section.has("auth")) {
    error(table.place(), "'target' needs 'auth'", "servers that anybody may name are an open relay");
  }
  TargetSettings target;
  if (table.good("from")) target_from({table.text("from"), table.place("from")}, target);
  target_map(table, target);
  if (target.from != TargetSettings::From::claim && table.good("from") && !target.mapped && !table.has("map") && !table.has("map_file")) {
    error(table.place("from"), "a target from the query or the path needs 'map' or 'map_file'",
          "only a token may name a server itself: from = \"claim:NAME\"");
  }
  for (const Section& one : table.tables("allow")) target_allow(one, target);
  if (!table.has("allow")) {
    error(table.place(), "'target' needs 'allow'", "allow = [{ host = \"*.vms.example.com\", cidr = \"10.1.0.0/16\", ports = [\"5900\"] }]");
  }
  out.target = std::move(target);
}

void Checker::target_from(const Text& text, TargetSettings& out) {
  const std::size_t colon = text.text.find(':');
  const std::string kind = text.text.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : text.text.substr(colon + 1);
  bool fine = !name.empty();
  if (kind == "claim") {
    out.from = TargetSettings::From::claim;
  } else if (kind == "query") {
    out.from = TargetSettings::From::query;
    fine = is_token(name);
  } else if (kind == "path") {
    out.from = TargetSettings::From::path;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), out.segment);
    fine = fine && parsed.ec == std::errc() && parsed.ptr == name.data() + name.size() && out.segment > 0;
  } else {
    fine = false;
  }
  out.name = name;
  if (!fine) {
    error(text.place, fmt::format("'from' has the unknown value \"{}\"", shown(text.text)),
          "allowed: claim:NAME, query:NAME, path:N with N from 1");
  }
}

void Checker::target_map(const Section& section, TargetSettings& out) {
  const auto add = [&](const std::string& name, std::string_view server, Place place) {
    auto target = upstream::Target::parse(server);
    if (!target) {
      error(place, fmt::format("target '{}' = \"{}\" is no HOST:PORT", shown(name), shown(server)),
            "a name or an address, and a port: \"vm1.internal:5900\", \"[2001:db8::1]:22\"");
    } else if (!out.map.emplace(name, std::move(*target)).second) {
      error(place, fmt::format("target '{}' is listed twice", shown(name)));
    }
  };
  out.mapped = section.has("map") || section.has("map_file");
  if (const Node* map = section.node("map")) {
    for (const Member& one : map->members) {
      if (one.value.bad) continue;
      add(one.name, one.value.kind == Node::Kind::text ? std::string_view(one.value.text) : std::string_view(), one.value.place);
    }
  }
  // The form of websockify's token files: NAME: HOST:PORT.
  const std::string file = read(section, "map_file", FileKind::targets);
  std::string_view rest = file;
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (says_nothing(line)) continue;
    const std::size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos) {
      error(section.place("map_file"), fmt::format("line {} of the map is not NAME: HOST:PORT", number));
      continue;
    }
    add(std::string(trimmed(line.substr(0, colon))), trimmed(line.substr(colon + 1)), section.place("map_file"));
  }
  if (out.mapped && out.map.empty() && !section.refused("map") && !section.refused("map_file") && !section.has("map_file")) {
    error(section.place("map"), "'map' is empty");
  }
}

void Checker::target_allow(const Section& section, TargetSettings& out) {
  upstream::TargetAllow allow;
  if (section.good("host")) {
    const std::string host = section.text("host");
    const bool wildcard = host.starts_with("*.");
    const auto parsed = upstream::Target::parse((wildcard ? host.substr(2) : host) + ":1");
    if (!parsed || parsed->literal) {
      error(section.place("host"), fmt::format("'host' = \"{}\" is no host name", shown(host)),
            "a name, or \"*.vms.example.com\" for all names below; addresses are for 'cidr'");
    } else {
      allow.host = (wildcard ? "*." : "") + parsed->host;
    }
  }
  if (section.good("cidr")) {
    allow.cidr = net::Cidr::parse(section.text("cidr"));
    if (!allow.cidr) {
      error(section.place("cidr"), fmt::format("'{}' is no block of addresses", shown(section.text("cidr"))),
            "write \"10.0.0.0/8\" or a single address; bits behind the prefix must be zero");
    }
  }
  if (!section.has("host") && !section.has("cidr")) {
    error(section.place(), "an entry of 'allow' needs 'host' or 'cidr'");
  }
  for (const Text& text : section.texts("ports")) {
    const auto range = upstream::PortRange::parse(text.text);
    if (!range) {
      error(text.place, fmt::format("\"{}\" is no port and no range of ports", shown(text.text)), "write \"5900\" or \"5900-5999\"");
    } else {
      allow.ports.push_back(*range);
    }
  }
  if (section.good("ports") && section.texts("ports").empty()) error(section.place("ports"), "'ports' is empty");
  out.allow.push_back(std::move(allow));
}

}  // namespace sluice::config
