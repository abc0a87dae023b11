// Request heads: the same verdict however they are cut, and the field policy's invariants on those that are good.
#include <string>
#include <vector>

#include "fuzz/heads.h"
#include "http/forwarded.h"

using namespace sluice;
using namespace sluice::http;

namespace {

const std::vector<std::string> kOwned = {"X-User-Id", "X-Tenant"};

// Nothing that is the gateway's own passes, under no alias.
void check_policy(const Head& head) {
  const auto passing = passing_fields(head, {.owned = kOwned, .dropped = {}});
  if (!passing) return;
  for (const Field& field : *passing) {
    for (const std::string_view ours : {"x-user-id", "x-tenant", "x-forwarded-for", "x-forwarded-proto", "x-real-ip",
                                        "x-request-id", "forwarded", "host", "connection", "upgrade", "transfer-encoding",
                                        "content-length", "sec-websocket-key", "via"}) {
      check(!same_alias(field.name, ours), "an alias of a field of ours passed");
    }
  }
  Request request;
  request.head = &head;
  request.peer = *net::Address::parse("10.0.0.1", 1);
  request.id = request_id(head, true);
  const std::vector<net::Cidr> trusted = {*net::Cidr::parse("10.0.0.0/8")};
  request.client = client_address(head, request.peer, trusted);
  check(!request.client.empty(), "a request without a client");
  HeadWriter writer;
  writer.request("GET", "/");
  for (const auto& [name, value] : forwarded_fields(request, true)) writer.field(name, value);
  check(writer.finish().has_value(), "the client broke a field of ours");
}

void check_host(const Head& head) {
  const auto target = canonical_target(head.target);
  if (!target) return;
  check(canonical_path(target->path) == target->path, "a canonical path has another canonical form");
  const auto host = request_host(head, *target);
  if (host) check(parse_authority(host->text()) == *host, "a host has another canonical form");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Answer answer = read_in_all_cuts(text, HeadParser::Kind::request);
  if (!answer.result || *answer.result == 0) return 0;
  (void)request_body(answer.head);
  (void)check_single_fields(answer.head);
  check_policy(answer.head);
  check_host(answer.head);
  return 0;
}
