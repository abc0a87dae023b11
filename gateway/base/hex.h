// Hexadecimal, two digits an octet.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sluice {

std::string to_hex(Bytes octets);  // lower case
// Digits of either case; nullopt for an odd number of them or for anything else among them.
std::optional<std::string> from_hex(std::string_view text);

}  // namespace sluice
