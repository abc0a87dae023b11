// SPIFFE ids: what is taken is made of nothing but its parts, and paths that claims bind match the segment that they say.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/path.h"
#include "policy/path_binding.h"
#include "policy/spiffe_id.h"

using namespace sluice;
using namespace sluice::policy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto id = SpiffeId::parse(text)) {
    check("spiffe://" + std::string(id->trust_domain) + std::string(id->path) == text, "a part of the id is in neither part");
    check(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/:") == std::string_view::npos,
          "an octet that no id has");
    check(text.find("..", 9) == std::string_view::npos || text.find("/../") == std::string_view::npos, "a way up");
    check(!text.ends_with('/') && text.find("//", 9) == std::string_view::npos, "an empty segment");
  }
  // A path that a client may ask for, bound to the claim that its own second segment says.
  const auto path = http::canonical_path(text);
  if (!path) return 0;
  const auto segments = path_segments(*path);
  std::string whole;
  for (const std::string_view segment : segments) whole.append("/").append(segment);
  check(whole == *path, "segments that do not make the path");
  Identity nobody;
  check(!bound({{0, "room"}}, *path, nobody), "bound without a claim");
  std::string why;
  if (const auto route = BoundPath::parse(text, why)) {
    for (const PathBinding& binding : route->bindings) {
      check(binding.segment < path_segments(route->shape).size(), "a binding behind the path");
      check(!binding.claim.empty() && binding.claim.find('/') == std::string::npos, "a claim over several segments");
    }
  }
  return 0;
}
