#include "upstream/sticky.h"

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/random.h"
#include "net/crypto.h"

namespace sluice::upstream {

namespace {

constexpr std::size_t kNonce = 12;
constexpr std::size_t kSealed = 16;  // expiry and server, 8 octets each
constexpr std::size_t kBody = kNonce + kSealed;
constexpr std::size_t kValue = kBody + sizeof(net::Sha256);
constexpr std::size_t kText = kValue / 3 * 4;
static_assert(kValue % 3 == 0, "no padding bits: one value has one text");

// What the secret is used for stands first in the message, so that neither use can serve the other.
constexpr std::string_view kPad = "sluice sticky pad\n";
constexpr std::string_view kSign = "sluice sticky signature\n";

std::uint64_t seconds_of(WallTime time) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count()));
}

std::uint64_t seconds_of(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

// Sealing and opening are the same: the pad is its own inverse.
void apply_pad(const Secret& secret, Bytes nonce, MutableBytes sealed) {
  const net::Sha256 pad =
      net::hmac_sha256(as_bytes(secret.reveal()), as_bytes(std::string(kPad).append(as_text(nonce))));
  for (std::size_t i = 0; i < sealed.size(); ++i) sealed[i] ^= pad[i];
}

// A name of a backend holds no line break, and the parts before it have fixed sizes: nothing can run into another part.
net::Sha256 signature(const Secret& secret, Bytes body, std::string_view backend, std::string_view url) {
  std::string message(kSign);
  message.append(as_text(body)).append(backend).append("\n").append(url);
  return net::hmac_sha256(as_bytes(secret.reveal()), as_bytes(message));
}

std::uint64_t id_of(const Server& server) { return hash64(server.settings().url); }

}  // namespace

Secret fresh_sticky_secret() {
  std::string octets(32, '\0');
  random_fill({reinterpret_cast<std::uint8_t*>(octets.data()), octets.size()});
  return Secret(std::move(octets));
}

std::string sticky_value(const StickySettings& settings, std::string_view backend, const Server& server, WallTime now) {
  std::array<std::uint8_t, kValue> value;
  const MutableBytes all(value);
  random_fill(all.first(kNonce));
  const bool for_ever = settings.ttl == Duration::zero();
  store_be<std::uint64_t>(&value[kNonce], for_ever ? 0 : seconds_of(now) + seconds_of(settings.ttl));
  store_be<std::uint64_t>(&value[kNonce + 8], id_of(server));
  apply_pad(settings.secret, all.first(kNonce), all.subspan(kNonce, kSealed));
  const net::Sha256 mac = signature(settings.secret, all.first(kBody), backend, server.settings().url);
  std::copy(mac.begin(), mac.end(), value.begin() + kBody);
  return net::base64url(all);
}

StickyServer read_sticky(const StickySettings& settings, std::string_view backend,
                         std::span<const std::shared_ptr<Server>> servers, std::string_view value, WallTime now) {
  if (value.size() != kText) return {};
  const auto octets = net::from_base64url(value);
  if (!octets) return {};
  const Bytes all(*octets);
  std::array<std::uint8_t, kSealed> open;
  std::copy_n(octets->begin() + kNonce, kSealed, open.begin());
  apply_pad(settings.secret, all.first(kNonce), open);
  const auto expiry = load_be<std::uint64_t>(open.data());
  const auto id = load_be<std::uint64_t>(open.data() + 8);
  for (const auto& server : servers) {
    if (id_of(*server) != id) continue;
    // Nothing of what was opened counts before this.
    if (!net::constant_time_equal(signature(settings.secret, all.first(kBody), backend, server->settings().url),
                                  all.subspan(kBody))) {
      continue;
    }
    if (expiry != 0 && expiry <= seconds_of(now)) return {};
    const std::uint64_t ttl = seconds_of(settings.ttl);
    const std::uint64_t left = expiry == 0 ? 0 : expiry - seconds_of(now);
    return {server, expiry == 0 ? ttl != 0 : left > ttl || left * 2 < ttl};
  }
  return {};
}

std::string sticky_field(const StickySettings& settings, std::string_view value, bool tls) {
  std::string field = settings.cookie;
  field.append("=").append(value).append("; Path=").append(settings.path);
  if (!settings.domain.empty()) field.append("; Domain=").append(settings.domain);
  if (settings.ttl > Duration::zero()) field.append("; Max-Age=").append(std::to_string(seconds_of(settings.ttl)));
  using Secure = StickySettings::Secure;
  using SameSite = StickySettings::SameSite;
  // Browsers take SameSite=None only together with Secure.
  const bool secure = settings.secure == Secure::on || settings.same_site == SameSite::none ||
                      (settings.secure == Secure::automatic && tls);
  if (secure) field.append("; Secure");
  field.append("; HttpOnly; SameSite=");
  field.append(settings.same_site == SameSite::none     ? "None"
               : settings.same_site == SameSite::strict ? "Strict"
                                                        : "Lax");
  return field;
}

}  // namespace sluice::upstream
