#include "config/key_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/hex.h"
#include "base/json.h"
#include "config/decode.h"
#include "config/document.h"
#include "config/schema.h"

namespace sluice::config {
namespace {

constexpr JsonLimits kClaims{.octets = 8 * 1024, .depth = 4, .members = 50};

constexpr Key kKey[] = {
    {.name = "name",
     .type = Type::text,
     .meaning = "Who holds the key: `sub` among the claims.",
     .example = "\"billing\"",
     .required = true},
    {.name = "prefix",
     .type = Type::text,
     .meaning = "The 16 digits behind sk_, by which the key is found; none for a key that was made elsewhere.",
     .example = "\"0123456789abcdef\""},
    {.name = "sha256",
     .type = Type::text,
     .meaning = "SHA-256 of the key.",
     .example = "\"...\", as `sluice hash-key` prints it",
     .required = true},
    {.name = "claims", .type = Type::free, .meaning = "What else is known of the holder."},
    {.name = "expires", .type = Type::date, .meaning = "From when on the key is refused."},
    {.name = "rate_limit",
     .type = Type::texts,
     .fallback = "[]",
     .meaning = "Limits of whoever has the name, in place of those of a route that count the same by a claim.",
     .example = "[\"gold\"]"},
    {.name = "disabled", .type = Type::boolean, .fallback = "false", .meaning = "The key is refused."},
};
constexpr Table kKeyTable{"key", "One API key.", kKey};
constexpr Key kFile[] = {{.name = "key", .type = Type::tables, .table = &kKeyTable}};
constexpr Table kFileTable{"", "The file of keys.", kFile};

bool write_scalar(const Node& node, JsonWriter& out) {
  switch (node.kind) {
    case Node::Kind::text: return out.value(node.text), true;
    case Node::Kind::integer: return out.value(node.integer), true;
    case Node::Kind::boolean: return out.value(node.integer != 0), true;
    default: return false;
  }
}

bool write_claim(const Node& node, JsonWriter& out) {
  if (node.kind != Node::Kind::array) return write_scalar(node, out);
  out.begin_array();
  const bool good = std::ranges::all_of(node.items, [&](const Node& item) { return write_scalar(item, out); });
  out.end_array();
  return good;
}

class KeyReader {
 public:
  KeyReader(Reporter& reporter, const std::function<bool(const Text&)>& limit) : reporter_(reporter), limit_(limit) {}

  void entry(const Section& section) {
    policy::ApiKey key;
    const bool sound = identify(section, key) & claims(section, key) & !section.refused("expires") && limits(section, key);
    if (const Node* expires = section.node("expires")) key.expires = expires->instant;
    key.disabled = section.boolean("disabled");
    if (sound) keys_.push_back(std::move(key));
  }
  std::vector<policy::ApiKey> take() { return std::move(keys_); }

 private:
  bool fault(Place place, std::string message, std::string help = {}) {
    reporter_.error(place, std::move(message), std::move(help));
    return false;
  }

  bool identify(const Section& section, policy::ApiKey& key) {
    if (!section.good("name") || !section.good("sha256") || section.refused("prefix")) return false;
    key.name = section.text("name");
    if (policy::ApiKeys::prefix_of(key.name)) {
      return fault(section.place("name"), "'name' is an API key", "whoever reads this file must not learn it: make another key");
    }
    if (!policy::ApiKeys::is_name(key.name)) {
      return fault(section.place("name"), fmt::format("'name' = \"{}\" is no name", shown(key.name)),
                   "1 to 128 characters of visible ASCII without quotes");
    }
    // What stands in place of a digest may be the key itself: it is not repeated.
    const auto digest = from_hex(section.text("sha256"));
    if (!digest || digest->size() != key.digest.size()) {
      return fault(section.place("sha256"), "'sha256' must be 64 hexadecimal digits",
                   "sluice hash-key --stdin makes the entry of a key");
    }
    std::ranges::copy(*digest, key.digest.begin());
    key.prefix = policy::ApiKeys::found_by(key.digest);
    if (section.has("prefix")) {
      const auto prefix = policy::ApiKeys::parse_prefix(section.text("prefix"));
      if (!prefix) return fault(section.place("prefix"), "'prefix' must be 16 hexadecimal digits", "those behind sk_ in the key");
      key.prefix = *prefix;
    }
    const auto [before, fresh] = known_.emplace(key.prefix, section.place());
    if (fresh) return true;
    return fault(section.place(section.has("prefix") ? "prefix" : "sha256"), "this key is listed twice",
                 fmt::format("it stands in line {} already", before->second.line));
  }

  bool claims(const Section& section, policy::ApiKey& key) {
    if (section.refused("claims")) return false;
    JsonWriter json;
    json.begin_object().field("sub", key.name);
    if (const Node* claims = section.node("claims")) {
      for (const Member& claim : claims->members) {
        if (claim.name == "sub") return fault(claim.place, "the claim 'sub' is the name of the key");
        json.name(claim.name);
        if (!write_claim(claim.value, json)) {
          return fault(claim.value.place, fmt::format("claim '{}' must be a string, an integer, true, false or a list of these",
                                                      shown(claim.name)));
        }
      }
    }
    json.end_object();
    auto parsed = Json::parse(json.text(), kClaims);
    if (!parsed) return fault(section.place("claims"), "'claims' are more than 49, or more than 8KiB");
    key.claims = std::move(*parsed);
    return true;
  }

  // They are those of a name: several keys of one say the same.
  bool limits(const Section& section, policy::ApiKey& key) {
    if (section.refused("rate_limit")) return false;
    for (const Text& name : section.texts("rate_limit")) {
      if (!limit_(name)) return false;
      if (std::ranges::find(key.rate_limit, name.text) != key.rate_limit.end()) {
        return fault(name.place, fmt::format("'rate_limit' names '{}' twice", shown(name.text)));
      }
      key.rate_limit.push_back(name.text);
    }
    const auto [before, first] = limits_.emplace(key.name, std::pair(key.rate_limit, section.place()));
    if (first || before->second.first == key.rate_limit) return true;
    return fault(section.place(section.has("rate_limit") ? "rate_limit" : "name"),
                 fmt::format("'{}' has other limits in line {}", shown(key.name), before->second.second.line),
                 "limits are those of a name: write the same into each of its entries");
  }

  Reporter& reporter_;
  const std::function<bool(const Text&)>& limit_;
  std::map<std::string, std::pair<std::vector<std::string>, Place>> limits_;  // by name
  std::vector<policy::ApiKey> keys_;
  std::map<policy::ApiKeyPrefix, Place> known_;
};

}  // namespace

std::vector<policy::ApiKey> read_key_file(std::uint32_t file, Reporter& reporter,
                                          const std::function<bool(const Text&)>& limit) {
  Node tree;
  if (!parse_document(file, reporter, tree)) return {};
  decode(kFileTable, tree, reporter);
  KeyReader reader(reporter, limit);
  for (const Section& section : Section(kFileTable, &tree, tree.place).tables("key")) reader.entry(section);
  return reader.take();
}

}  // namespace sluice::config
