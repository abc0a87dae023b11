#include "session/standing.h"

#include <algorithm>
#include <new>
#include <vector>

namespace sluice::session {

namespace {

// null: it does not say.
const std::string* issuer_of(const policy::Identity& identity) {
  const Json* issuer = identity.claims.find("iss");
  return issuer && issuer->is(Json::Type::string) ? &issuer->text() : nullptr;
}

}  // namespace

void Standing::Free::operator()(const Standing* standing) const {
  standing->~Standing();
  ::operator delete(const_cast<Standing*>(standing));
}

Standing::Owner Standing::of(const policy::Identity& identity, const std::string& auth, std::uint64_t seed) {
  std::vector<policy::ClaimMark> marks;
  policy::each_claim(identity, [&](std::string_view name, std::string_view value) {
    marks.push_back(policy::claim_mark(name, value, seed));
  });
  const std::string_view method = identity.method;
  void* const block = ::operator new(sizeof(Standing) + marks.size() * sizeof(policy::ClaimMark) + method.size());
  Standing* const made = new (block) Standing(auth, policy::issued_at(identity));
  made->marks_ = static_cast<std::uint32_t>(marks.size());
  made->method_ = static_cast<std::uint16_t>(method.size());
  made->names_issuer_ = issuer_of(identity) != nullptr;
  const auto behind = reinterpret_cast<policy::ClaimMark*>(made + 1);
  std::ranges::copy(marks, behind);
  std::ranges::copy(method, reinterpret_cast<char*>(behind + marks.size()));
  return Owner(made);
}

std::string_view Standing::method() const {
  return {reinterpret_cast<const char*>(marks().data() + marks_), method_};
}

bool Standing::same_issuer(const policy::Identity& identity, std::uint64_t seed) const {
  const std::string* issuer = issuer_of(identity);
  if (!issuer || !names_issuer_) return !issuer && !names_issuer_;
  return has(policy::claim_mark("iss", *issuer, seed));
}

bool Standing::has(policy::ClaimMark mark) const { return std::ranges::find(marks(), mark) != marks().end(); }

}  // namespace sluice::session
