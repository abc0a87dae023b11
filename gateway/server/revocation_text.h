// A revocation as JSON text and back, as it lies on the disk and in Redis. Times are milliseconds since 1970.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "policy/revocations.h"

namespace sluice::server {

std::string revocation_text(const policy::Revocation& what);
// nullopt: a member is missing, or is not what it must be.
std::optional<policy::Revocation> revocation_of(const Json& json);

}  // namespace sluice::server
