// The file of API keys that `keys_file` of an [auth] names: a TOML file of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "config/reporter.h"
#include "policy/api_keys.h"

namespace sluice::config {

// The entries of a source of the reporter, which is told what is wrong with it; those that are wrong are left out.
std::vector<policy::ApiKey> read_key_file(std::uint32_t file, Reporter& reporter);

}  // namespace sluice::config
