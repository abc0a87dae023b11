#include "policy/ticket_record.h"

#include "base/json.h"

namespace sluice::policy {
namespace {

// Claims of a token of 8 KiB, quoted twice.
constexpr JsonLimits kRecord{.octets = 128 * 1024, .depth = 2, .members = 16};

void write(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::Type::null: out += "null"; break;
    case Json::Type::boolean: out += value.boolean() ? "true" : "false"; break;
    // As they were received: a claim is compared by its text.
    case Json::Type::integer:
    case Json::Type::real: out += value.text(); break;
    case Json::Type::string: out += json_quote(value.text()); break;
    case Json::Type::array:
      out += '[';
      for (const Json& item : value.items()) {
        if (&item != &value.items().front()) out += ',';
        write(out, item);
      }
      out += ']';
      break;
    case Json::Type::object:
      out += '{';
      for (const auto& member : value.members()) {
        if (&member != &value.members().front()) out += ',';
        out += json_quote(member.first) + ':';
        write(out, member.second);
      }
      out += '}';
      break;
  }
}

// False: there is none, or it is no text.
bool take(const Json& record, std::string_view name, std::string& out) {
  const Json* const value = record.find(name);
  if (!value || !value->is(Json::Type::string)) return false;
  out = value->text();
  return true;
}

}  // namespace

std::string TicketRecord::text() const {
  JsonWriter out;
  out.begin_object().field("auth", auth).field("client", client);
  out.field("method", identity.method).field("subject", identity.subject);
  if (identity.expires) out.field("expires", std::int64_t{identity.expiry.time_since_epoch().count()});
  std::string claims;
  write(claims, identity.claims);
  out.field("claims", claims).end_object();
  return out.take();
}

Result<TicketRecord> TicketRecord::parse(std::string_view text) {
  const auto bad = fail(Errc::bad_ticket, Side::gateway, "its record is none");
  const auto json = Json::parse(text, kRecord);
  if (!json || !json->is(Json::Type::object)) return bad;
  TicketRecord record;
  Identity& identity = record.identity;
  std::string claims;
  if (!take(*json, "auth", record.auth) || !take(*json, "client", record.client) || !take(*json, "method", identity.method) ||
      !take(*json, "subject", identity.subject) || !take(*json, "claims", claims)) {
    return bad;
  }
  if (const Json* const expires = json->find("expires")) {
    if (!expires->is(Json::Type::integer)) return bad;
    identity.expires = true;
    identity.expiry = WallTime(std::chrono::milliseconds(expires->integer()));
  }
  auto parsed = Json::parse(claims);
  if (!parsed) return bad;
  identity.claims = std::move(*parsed);
  return record;
}

}  // namespace sluice::policy
