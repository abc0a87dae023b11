// What the gateway answers to a request itself: the 101, refusals by the table, a fixed page, an upstream's refusal.
#pragma once

#include <string>

#include "config/settings.h"
#include "session/opening.h"
#include "session/runtime.h"

namespace sluice::session {

// Our own 101 to the client, by opening.agreement and opening.answer_fields.
Result<std::string> switching_head(const Opening& opening);

// Status, fields that the status asks for (Allow, Upgrade, WWW-Authenticate, Retry-After), and a short body that repeats
// nothing of the request.
std::string refusal_head_and_body(const Error& error, const Opening& opening);

Result<std::string> relayed_answer(const Refusal& refusal, const http::Request& request);
std::string fixed_answer(const config::FixedAnswer& answer, const http::Request& request);

// The subprotocol to answer when the handshake is accepted only to be closed.
std::string early_subprotocol(const Opening& opening, const config::WebSocketSettings& rules);

// Label of sluice_handshakes_total for a refused one.
Outcome outcome_of(const Error& error);

}  // namespace sluice::session
