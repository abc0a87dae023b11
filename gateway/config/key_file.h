// The file of API keys that `keys_file` of an [auth] names: a TOML file of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "config/decode.h"
#include "config/reporter.h"
#include "policy/api_keys.h"

namespace sluice::config {

// The entries of a source of the reporter, which is told what is wrong with it; those that are wrong are left out.
// `limit`: whether a key may name that limit; it says why not.
std::vector<policy::ApiKey> read_key_file(std::uint32_t file, Reporter& reporter, const std::function<bool(const Text&)>& limit);

}  // namespace sluice::config
