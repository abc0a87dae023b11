// HeaderRules: what a route sets and removes among the fields of requests on their way up and of answers on their way back.
// Values may hold placeholders for what is known of the request. Immutable; filled in by config/, applied by session/ after
// the rules of http/forwarded.h, so that no rule can undo those.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/request.h"
#include "policy/identity.h"

namespace sluice::policy {

using FieldList = std::vector<std::pair<std::string, std::string>>;

// "{client_ip}", "{request_id}", "{host}" and "{claim:NAME}" among text. A '{' that no letter follows stands for itself.
class FieldValue {
 public:
  // nullopt and `why` (a clause that a message ends on) for an unknown placeholder or an octet that no field may hold.
  static std::optional<FieldValue> parse(std::string_view text, std::string& why);

  bool plain() const;       // without placeholders
  bool asks_claim() const;  // with one of a claim
  // nullopt: a claim in it is absent, so there is nothing to say. Errors: bad_claim.
  Result<std::optional<std::string>> text(const http::Request& request, const Identity& identity) const;
  const std::string& source() const { return source_; }

 private:
  struct Part {
    enum class Kind : std::uint8_t { text, client_ip, request_id, host, claim };
    Kind kind = Kind::text;
    std::string word;  // the text, or the claim's name
  };
  std::string source_;
  std::vector<Part> parts_;
};

struct HeaderRules {
  std::vector<std::pair<std::string, FieldValue>> set;
  std::vector<std::string> remove;

  bool empty() const { return set.empty() && remove.empty(); }
  // Whether fields of that name that others have sent go: they are removed, or set anew.
  bool drops(std::string_view name) const;
  // What is set for this request. Errors: bad_claim.
  Result<FieldList> values(const http::Request& request, const Identity& identity) const;
};

// Removes what the rules drop from `fields` and adds `values`.
void apply(const HeaderRules& rules, const FieldList& values, FieldList& fields);

}  // namespace sluice::policy
