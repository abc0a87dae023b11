#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "policy/jwt.h"
#include "server/commands.h"
#include "server/exit_code.h"

namespace sluice::server {

namespace {

bool read(const std::string& file, std::string& text) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return false;
  std::stringstream all;
  all << in.rdbuf();
  text = all.str();
  return true;
}

std::string claims_json(const TokenOptions& options, std::int64_t now) {
  JsonWriter json;
  json.begin_object();
  if (!options.subject.empty()) json.field("sub", options.subject);
  if (!options.issuer.empty()) json.field("iss", options.issuer);
  if (!options.audience.empty()) json.field("aud", options.audience);
  json.field("iat", now).field("exp", now + options.lifetime_seconds);
  json.end_object();
  std::string text = json.take();
  for (const std::string& claim : options.claims) {
    const std::size_t equals = claim.find('=');
    const std::string name = claim.substr(0, equals);
    const std::string value = equals == std::string::npos ? "true" : claim.substr(equals + 1);
    text.insert(text.size() - 1, "," + json_quote(name) + ":" + (Json::parse(value) ? value : json_quote(value)));
  }
  return text;
}

}  // namespace

int command_token(const TokenOptions& options) {
  const auto algorithm = net::jws_algorithm(options.algorithm);
  if (!algorithm) {
    std::fprintf(stderr, "sluice token: unknown algorithm '%s'\n", options.algorithm.c_str());
    return kExitConfig;
  }
  std::string key;
  if (!read(options.key_file, key)) {
    std::fprintf(stderr, "sluice token: cannot read %s\n", options.key_file.c_str());
    return kExitConfig;
  }
  // The same rule as for secret_file: one newline at the end is the editor's.
  if (net::is_hmac(*algorithm) && !key.empty() && key.back() == '\n') key.pop_back();
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  net::CryptoContext crypto;
  std::string why;
  const auto token = policy::mint(crypto, *algorithm, key, options.key_id, claims_json(options, now), why);
  if (!token) {
    std::fprintf(stderr, "sluice token: %s\n", why.c_str());
    return kExitConfig;
  }
  std::printf("%s\n", token->c_str());
  return kExitOk;
}

}  // namespace sluice::server
