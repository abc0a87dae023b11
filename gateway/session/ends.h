// Ends: the addresses of one client connection, as its socket or a trusted proxy's PROXY header says.
#pragma once

#include "net/address.h"

namespace sluice::session {

struct Ends {
  net::Address peer;   // who connected: for limits, logs and X-Forwarded-For
  net::Address local;  // what it connected to
  net::Address proxy;  // the socket's other end, where `peer` came by a PROXY header; else empty
};

}  // namespace sluice::session
