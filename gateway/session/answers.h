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

// How an upstream's answer goes on to the client.
struct AnswerTerms {
  http::BodyLength body;   // as the upstream delimits it
  bool chunked = false;    // it leaves in chunks
  bool keep = false;       // a further request may follow
  bool old_client = false; // HTTP/1.0
};
// The head of an upstream's answer to a plain request, written anew. Errors: those of an upstream's head.
Result<std::string> forwarded_answer(const http::Head& head, const policy::HeaderRules& rules, const Opening& opening,
                                     const AnswerTerms& terms);
// Likewise of an interim answer (1xx).
Result<std::string> interim_answer(const http::Head& head);

// Of an endpoint of the gateway's own: JSON, where there is a body. `keep`: a further request may follow.
std::string endpoint_answer(int status, std::string_view body, bool keep, const Opening& opening);

Result<std::string> relayed_answer(const Refusal& refusal, const http::Request& request);
std::string fixed_answer(const config::FixedAnswer& answer, const http::Request& request);

// The subprotocol to answer when the handshake is accepted only to be closed.
std::string early_subprotocol(const Opening& opening, const config::WebSocketSettings& rules);

// Label of sluice_handshakes_total for a refused one.
Outcome outcome_of(const Error& error);

}  // namespace sluice::session
