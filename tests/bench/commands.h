// The subcommands of sluice_load. Each reads its options, runs one measurement and prints one line of
// name=value pairs.
#pragma once

#include "client.h"
#include "options.h"

namespace bench {

int run_rtt(Options& options);         // rtt.cc
int run_handshakes(Options& options);  // handshakes.cc
int run_idle(Options& options);        // idle.cc
int run_stall(Options& options);       // stall.cc
int run_mint(Options& options);        // mint.cc; prints tokens, measures nothing

}  // namespace bench
