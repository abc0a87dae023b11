#include <algorithm>
#include <array>
#include <cstdio>

#include "base/hex.h"
#include "policy/api_keys.h"
#include "server/commands.h"
#include "server/exit_code.h"

namespace sluice::server {

namespace {

bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

// One key on a line of its own; nullopt when there is more or less than that.
std::optional<Secret> read_key() {
  std::array<char, policy::ApiKeys::kMaxText + 2> octets;
  const std::size_t size = std::fread(octets.data(), 1, octets.size(), stdin);
  std::string text(octets.data(), size);
  net::cleanse({reinterpret_cast<std::uint8_t*>(octets.data()), size});
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  Secret key(std::move(text));
  if (key.size() > policy::ApiKeys::kMaxText || !std::ranges::all_of(key.reveal(), is_visible)) return std::nullopt;
  return key;
}

}  // namespace

int command_hash_key(const HashKeyOptions& options) {
  if (!policy::ApiKeys::is_name(options.name)) {
    std::fprintf(stderr, "sluice hash-key: a name is 1 to 128 characters of visible ASCII, without quotes\n");
    return kExitConfig;
  }
  const std::optional<Secret> key = options.from_input ? read_key() : policy::ApiKeys::make();
  if (!key) {
    std::fprintf(stderr, "sluice hash-key: standard input must hold one key: one line of visible ASCII\n");
    return kExitConfig;
  }
  const auto prefix = policy::ApiKeys::prefix_of(key->reveal());
  if (!prefix && key->size() < policy::ApiKeys::kMinForeign) {
    std::fprintf(stderr, "sluice hash-key: the key is shorter than %zu characters: whoever reads the file could guess it\n",
                 policy::ApiKeys::kMinForeign);
    return kExitConfig;
  }
  // The key to the terminal, the entry to where the output goes: >> keys.toml
  if (!options.from_input) std::fprintf(stderr, "%.*s\n", static_cast<int>(key->size()), key->reveal().data());
  std::printf("\n[[key]]\nname   = \"%s\"\n", options.name.c_str());
  if (prefix) std::printf("prefix = \"%s\"\n", to_hex(*prefix).c_str());
  std::printf("sha256 = \"%s\"\n", to_hex(net::sha256(as_bytes(key->reveal()))).c_str());
  return kExitOk;
}

}  // namespace sluice::server
