// sluice_load: the load generator of the benchmark. One thread, any proxy on 127.0.0.1, one figure line a
// run.
//
//   sluice_load rtt         messages back and forth at a fixed number in flight: CPU or system calls per round trip
//   sluice_load handshakes  TCP + TLS + upgrade + close, full or resumed: how many a second of the proxy's CPU
//   sluice_load idle        connections that only stay open: the proxy's memory
//   sluice_load stall       a flood to many readers, some of whom stop reading: memory, and what the others receive
//   sluice_load mint        tokens for --tokens; measures nothing
//
// All others take --port P, --tls 0|1, --path, --host, --token JWT or --tokens FILE (one a line, used in turn), --credential
// (the field and scheme before it), --sources N and --pids A,B (the proxy's processes).
#include <malloc.h>
#include <signal.h>

#include <string_view>

#include "commands.h"
#include "fail.h"
#include "options.h"

int main(int argc, char** argv) {
  using namespace bench;
  const std::string_view name = argc > 1 ? argv[1] : "";
  signal(SIGPIPE, SIG_IGN);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // large buffers come and go: keep their pages
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  raise_file_limit();
  if (name == "mint") {
    Options options(argc, argv, 2);
    return run_mint(options);
  }
  if (name == "rtt" || name == "handshakes" || name == "idle" || name == "stall") {
    Options options(argc, argv, 2);
    return name == "rtt"          ? run_rtt(options)
           : name == "handshakes" ? run_handshakes(options)
           : name == "idle"       ? run_idle(options)
                                  : run_stall(options);
  }
  fail("usage: sluice_load rtt|handshakes|idle|stall|mint --port P [--name value]...");
}
