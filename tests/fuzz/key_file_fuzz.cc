// Files of API keys: whatever they hold it is said what is wrong, and what is taken of them can be found again.
#include <cstdint>
#include <set>
#include <string>

#include "base/result.h"
#include "config/key_file.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  config::Reporter reporter;
  const std::uint32_t file = reporter.add_source("keys.toml", std::string(reinterpret_cast<const char*>(data), size));
  const auto keys = config::read_key_file(file, reporter, [](const config::Text& name) { return name.text != "none"; });
  std::set<policy::ApiKeyPrefix> prefixes;
  for (const policy::ApiKey& key : keys) {
    check(policy::ApiKeys::is_name(key.name), "a name that is none");
    check(prefixes.insert(key.prefix).second, "a key twice");
    const Json* const subject = key.claims.find("sub");
    check(subject && subject->text() == key.name, "the subject is another");
    for (const std::string& limit : key.rate_limit) check(limit != "none", "a limit that was refused");
  }
  const policy::ApiKeys all(keys);
  check(all.size() == keys.size(), "a key is lost");
  return 0;
}
