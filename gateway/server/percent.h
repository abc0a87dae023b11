// Percent-encoding of what a request's path or query names (RFC 3986 §2.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::server {

// nullopt: an escape that is none. Everything else stands for itself, '+' too.
std::optional<std::string> unescape(std::string_view text);

}  // namespace sluice::server
