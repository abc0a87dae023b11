#include "upstream/hash_key.h"

#include <string>
#include <string_view>

#include "base/hash.h"

namespace sluice::upstream {

namespace {

std::string cookie(const http::Request& request, std::string_view name) {
  if (!request.head) return {};
  for (const http::Field& field : request.head->fields) {
    if (!http::same_name(field.name, "cookie")) continue;
    const http::CookieValue found = http::cookie_value(field.value, name);
    if (found.count > 0) return std::string(found.value);
  }
  return {};
}

std::string value_of(const HashKey& key, const http::Request& request, const policy::Identity& identity) {
  switch (key.kind) {
    case HashKey::Kind::ip:
    case HashKey::Kind::json: return {};  // it stands in messages, not in the request
    case HashKey::Kind::header: {
      const std::string_view* value = request.head ? request.head->find(key.name) : nullptr;
      return value ? std::string(*value) : std::string();
    }
    case HashKey::Kind::cookie: return cookie(request, key.name);
    case HashKey::Kind::query: return http::query_value(request.target.query, key.name).value;
    case HashKey::Kind::path: return std::string(path_segment(request.target.path, key.segment));
    case HashKey::Kind::claim: {
      bool bad = false;
      return identity.claim_text(key.name, bad).value_or("");
    }
  }
  return {};
}

}  // namespace

std::string_view path_segment(std::string_view path, std::uint32_t number) {
  if (number == 0) return path;
  for (std::uint32_t i = 0; i < number; ++i) {
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
  return path.substr(0, path.find('/'));
}

std::uint64_t hash_of(const HashKey& key, const http::Request& request, const policy::Identity& identity) {
  const std::string value = value_of(key, request, identity);
  if (!value.empty()) return hash64(value);
  return hash64(request.client.octets());
}

}  // namespace sluice::upstream
