// What consistent_hash hashes of one request: the route's HashKey applied to it.
#pragma once

#include <cstdint>

#include "http/request.h"
#include "policy/identity.h"
#include "upstream/backend.h"

namespace sluice::upstream {

// The Nth segment of a path from 1, empty when there is none; 0 is the whole path.
std::string_view path_segment(std::string_view path, std::uint32_t number);

// The same for the same value in every process. A value that is absent, empty or not text gives way to the client's
// address, so that such clients still spread.
std::uint64_t hash_of(const HashKey& key, const http::Request& request, const policy::Identity& identity);

}  // namespace sluice::upstream
