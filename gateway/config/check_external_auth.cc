// Checker: [auth.NAME] with type = "external".
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/check.h"
#include "http/forwarded.h"
#include "http/path.h"

namespace sluice::config {

// Keys that another type has.
void Checker::only_for(const Section& section, std::string_view type, std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (section.has(key)) error(section.place(key), fmt::format("'{}' is for type = \"{}\"", key, type));
  }
}

void Checker::external_auth(const Section& section, policy::AuthSettings& out) {
  policy::ExternalSettings& external = out.external;
  out.type = policy::AuthSettings::Type::external;
  only_for(section, "jwt", kJwtKeys);
  only_for(section, "jwt", kLifetimeKeys);
  only_for(section, "api_key", kApiKeyKeys);
  only_for(section, "client_cert", kClientCertKeys);
  if (!section.has("url")) {
    error(section.place(), fmt::format("[auth.{}] has no 'url' to ask", shown(out.name)),
          "url = \"http://127.0.0.1:9000/verify\"");
  } else if (section.good("url") && external_url({section.text("url"), section.place("url")}, external)) {
    upstream::UpstreamTls tls;
    if (const Section table = section.table("tls")) client_tls(table, external.tls, tls);
    external.ca = tls.ca;
    external.certificate = tls.certificate;
    external.key = tls.key;
    external.server_name = tls.server_name;
  }
  external.timeout = section.duration("timeout");
  external.recheck = section.duration("recheck");
  external.request_headers = field_names(section, "request_headers", http::reserved_request_field);
  external.response_headers = field_names(section, "response_headers", is_reserved);
  external.refusal_headers = field_names(section, "refusal_headers", http::reserved_response_field);
  external.subject_header = section.text("subject_header");
  if (!external.subject_header.empty() && !is_field_name(external.subject_header)) {
    error(section.place("subject_header"), fmt::format("\"{}\" is no name of a header", shown(external.subject_header)));
  }
}

// http://HOST[:PORT]/PATH[?QUERY], or https.
bool Checker::external_url(const Text& url, policy::ExternalSettings& out) {
  out.tls = url.text.starts_with("https://");
  if (!out.tls && !url.text.starts_with("http://")) {
    error(url.place, fmt::format("\"{}\" cannot be asked", shown(url.text)), "write \"http://HOST:PORT/PATH\" or \"https://...\"");
    return false;
  }
  const std::size_t authority = out.tls ? 8 : 7;
  const std::size_t slash = url.text.find_first_of("/?#", authority);
  const Text server{url.text.substr(0, slash), url.place};
  upstream::ServerSettings parsed;
  if (!server_url(server, parsed)) return false;
  out.host = parsed.host;
  out.port = parsed.port;
  out.authority = server.text.substr(authority);
  out.target = slash == std::string::npos ? "/" : url.text.substr(slash);
  const auto target = http::canonical_target(out.target);
  if (!target || target->text() != out.target) {
    error(url.place, fmt::format("\"{}\" has no path that can be asked for", shown(url.text)),
          "a path and perhaps a query, without \"..\", fragments, or letters that need no %");
    return false;
  }
  return true;
}

std::vector<std::string> Checker::field_names(const Section& section, std::string_view key,
                                              bool (*reserved)(std::string_view name)) {
  std::vector<std::string> out;
  for (const Text& text : section.texts(key)) {
    if (!is_field_name(text.text)) {
      error(text.place, fmt::format("'{}': \"{}\" is no name of a header", key, shown(text.text)),
            "letters, digits and '-' only: backends fold other characters");
    } else if (reserved(text.text)) {
      error(text.place, fmt::format("header {} belongs to the gateway or to the connection", text.text));
    } else if (std::ranges::any_of(out, [&](const std::string& other) { return http::same_alias(other, text.text); })) {
      error(text.place, fmt::format("'{}' names {} twice", key, text.text));
    } else {
      out.push_back(text.text);
    }
  }
  return out;
}

}  // namespace sluice::config
