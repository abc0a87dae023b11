// parse_document: the text of one TOML file as a tree, free of any TOML library.
#pragma once

#include <cstdint>

#include "config/node.h"
#include "config/reporter.h"

namespace sluice::config {

// Of a source of the reporter, which is told what is wrong with it; false then.
bool parse_document(std::uint32_t file, Reporter& reporter, Node& out);

}  // namespace sluice::config
