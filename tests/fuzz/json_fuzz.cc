// JSON: what the strict reader accepts another parser accepts too and understands in the same way; whatever
// octets are quoted come out as one JSON string without a raw control octet.
#include "base/json.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

using namespace sluice;

namespace {

std::string text_of(const Json& json) {
  std::string out;
  switch (json.type()) {
    case Json::Type::null: return "null";
    case Json::Type::boolean: return json.boolean() ? "true" : "false";
    case Json::Type::integer: return std::to_string(json.integer());
    case Json::Type::real: return json.text();
    case Json::Type::string: return json_quote(json.text());
    case Json::Type::array:
      for (const Json& item : json.items()) out += (out.empty() ? "" : ",") + text_of(item);
      return "[" + out + "]";
    case Json::Type::object:
      for (const auto& [name, value] : json.members()) {
        check(json.find(name) == &value, "a member is there twice");
        out += (out.empty() ? "" : ",") + json_quote(name) + ":" + text_of(value);
      }
      return "{" + out + "}";
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto json = Json::parse(text)) {
    const auto other = nlohmann::json::parse(text, nullptr, false);
    check(!other.is_discarded(), "accepted what is no JSON");
    check(nlohmann::json::parse(text_of(*json), nullptr, false) == other, "understood something else");
  }
  const std::string quoted = json_quote(text);
  check(nlohmann::json::parse(quoted, nullptr, false).is_string(),
        "quoted into something else than a string");
  for (const char c : quoted)
    check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a raw control octet");
  const auto back = Json::parse(quoted, {.octets = quoted.size()});
  check(back && back->is(Json::Type::string), "the reader refuses what the writer wrote");
  return 0;
}
