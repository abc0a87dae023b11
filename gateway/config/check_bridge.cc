// Checker: what concerns servers that are reached by a socket of a certain kind, or that speak no WebSocket: paths of unix
// sockets, [backend.NAME.framing], [backend.NAME.socket].
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>

#include "base/hex.h"
#include "config/check.h"

namespace sluice::config {

// The path is taken as it stands: nothing is decoded, and what could mean another file than it says is refused.
std::string bad_socket_path(std::string_view path) {
  if (path.empty() || path.front() != '/') return "has no absolute path";
  const auto odd = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '%' || c == '?' || c == '#'; };
  if (std::ranges::any_of(path, odd)) return "has a path with a blank, a control, % ? or #";
  for (std::string_view rest = path.substr(1);;) {
    const std::size_t end = rest.find('/');
    const std::string_view segment = rest.substr(0, end);
    if (segment.empty() || segment == "." || segment == "..") return "has a path that is not in its plain form";
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (!net::Address::parse_bind("unix:" + std::string(path))) return "has a path longer than 107 octets";
  return {};
}

void Checker::tcp_framing(const Section& section, ws::TcpFraming& out) {
  using Framing = ws::TcpFraming::Type;
  using Invalid = ws::TcpFraming::InvalidText;
  const std::string type = section.text("type");
  out.type = type == "delimiter" ? Framing::delimiter : type == "length" ? Framing::length : Framing::raw;
  const std::string invalid = section.text("invalid_utf8");
  out.invalid_text = invalid == "binary" ? Invalid::binary : invalid == "replace" ? Invalid::replace : Invalid::close;
  out.max_frame = static_cast<std::uint64_t>(section.number("max_frame"));
  if (section.refused("type")) return;

  const auto only = [&](std::initializer_list<std::string_view> keys, std::string_view wanted) {
    for (const std::string_view key : keys) {
      if (section.has(key) && type != wanted)
        error(section.place(key), fmt::format("'{}' needs type = \"{}\"", key, wanted));
    }
  };
  only({"delimiter", "delimiter_hex", "keep"}, "delimiter");
  only({"length", "endian", "counted"}, "length");
  if (section.has("max_frame") && !out.framed()) {
    error(section.place("max_frame"), "'max_frame' needs type = \"delimiter\" or \"length\"", "octets without frames have no longest one");
  }
  if (out.type == Framing::delimiter) {
    out.keep = section.boolean("keep");
    delimiter(section, out);
  } else if (out.type == Framing::length) {
    length(section, out.length);
    const std::size_t bits = 8 * out.length.width();
    if (section.has("max_frame") && bits > 0 && bits < 64 && out.max_frame >> bits > 0) {
      reporter_.warning(section.place("max_frame"), fmt::format("'max_frame' is more than length = \"{}\" can say", section.text("length")));
    }
  }
}

void Checker::delimiter(const Section& section, ws::TcpFraming& out) {
  const bool both = section.has("delimiter") && section.has("delimiter_hex");
  if (both || (!section.has("delimiter") && !section.has("delimiter_hex"))) {
    return error(section.place(both ? "delimiter_hex" : "type"),
                 both ? "'delimiter' and 'delimiter_hex' stand for the same" : "type = \"delimiter\" needs 'delimiter'",
                 both ? "" : "write delimiter = \"\\n\", or delimiter_hex = \"0d0a\"");
  }
  std::string octets;
  const std::string_view key = section.has("delimiter") ? "delimiter" : "delimiter_hex";
  if (!section.good(key)) return;
  const std::string text = section.text(key);
  if (key == "delimiter") {
    octets = text;
  } else {
    const auto read = from_hex(text);
    if (!read) return error(section.place(key), fmt::format("\"{}\" is no hexadecimal", shown(text)), "two digits an octet: \"0d0a\"");
    octets = *read;
  }
  if (octets.empty() || octets.size() > ws::Delimiter::kMost) {
    return error(section.place(key), "a delimiter has 1 to 64 octets");
  }
  out.delimiter = ws::Delimiter(std::move(octets));
}

void Checker::length(const Section& section, ws::LengthPrefix& out) {
  using Kind = ws::LengthPrefix::Kind;
  static const std::map<std::string_view, Kind> kKinds{{"u8", Kind::u8},   {"u16", Kind::u16}, {"u24", Kind::u24},
                                                       {"u32", Kind::u32}, {"u64", Kind::u64}, {"varint", Kind::varint}};
  if (section.good("length")) out.kind = kKinds.at(section.text("length"));
  out.little_endian = section.text("endian") == "little";
  out.counted = section.boolean("counted");
  if (out.kind != Kind::varint) return;
  for (const std::string_view key : {"endian", "counted"}) {
    if (section.has(key)) error(section.place(key), fmt::format("'{}' means nothing with length = \"varint\"", key));
  }
  out.little_endian = out.counted = false;
}

void Checker::upstream_socket(const Section& section, upstream::BackendSettings& out) {
  out.socket.nodelay = section.boolean("nodelay");
  out.socket.keepalive_idle = section.duration("keepalive");
  out.socket.keepalive_interval = section.duration("keepalive_interval");
  out.socket.keepalive_count = static_cast<std::uint32_t>(section.number("keepalive_count"));
  out.socket.user_timeout = section.duration("user_timeout");
  const bool none = !out.servers.empty() && std::ranges::all_of(out.servers, [](const auto& server) {
    return !server.unix_path.empty();
  });
  if (section && none) reporter_.warning(section.place(), "'socket' has no effect for unix sockets");
  if (out.socket.keepalive_idle > Duration::zero()) return;
  for (const std::string_view key : {"keepalive_interval", "keepalive_count"}) {
    if (section.has(key)) error(section.place(key), fmt::format("'{}' needs 'keepalive'", key));
  }
}

}  // namespace sluice::config
