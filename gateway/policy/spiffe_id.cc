#include "policy/spiffe_id.h"

#include <algorithm>

namespace sluice::policy {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kMostTrustDomain = 255;

bool is_small(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'; }
bool is_segment_char(char c) { return is_small(c) || (c >= 'A' && c <= 'Z'); }

bool is_path(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    if (segment.empty() || segment == "." || segment == ".." || !std::ranges::all_of(segment, is_segment_char)) return false;
    path.remove_prefix(end);
  }
  return true;
}

}  // namespace

bool SpiffeId::is_trust_domain(std::string_view text) {
  return !text.empty() && text.size() <= kMostTrustDomain && std::ranges::all_of(text, is_small);
}

std::optional<SpiffeId> SpiffeId::parse(std::string_view text) {
  if (text.size() > kMostOctets || !text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  const std::size_t end = std::min(text.find('/'), text.size());
  const SpiffeId id{text.substr(0, end), text.substr(end)};
  if (!is_trust_domain(id.trust_domain) || !is_path(id.path)) return std::nullopt;
  return id;
}

}  // namespace sluice::policy
