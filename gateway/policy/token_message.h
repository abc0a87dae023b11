// The messages by which clients bring a credential where headers cannot: {"type":"auth","token":"..."}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace sluice::policy {

// The token of a JSON object that has exactly the members `type`, which is `type` here, and `token`, a string with something in
// it; nullopt for every other text. `most`: octets of the text, over which nothing is read.
std::optional<Secret> token_of_message(std::string_view text, std::string_view type, std::size_t most);

// The credential of a first message: the token of such an object, or the bare text where it does not begin with '{'. nullopt:
// nothing, or another object.
std::optional<Secret> token_of_first_message(std::string_view text, std::string_view type, std::size_t most);

}  // namespace sluice::policy
