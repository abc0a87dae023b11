// The demo's page: one HTML document with its script and style inside, no build step, nothing fetched from elsewhere.
#pragma once

#include <string_view>

namespace sluice::server {

std::string_view demo_page();

}  // namespace sluice::server
