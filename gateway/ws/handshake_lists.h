// The two list-valued fields of the opening handshake: Sec-WebSocket-Protocol and Sec-WebSocket-Extensions
// (RFC 6455 §9.1, §11.3), and the parameters of permessage-deflate (RFC 7692 §7.1). One pass each, whatever
// the list holds. Used by handshake.cc alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::ws {

inline constexpr std::size_t kMaxSubprotocols = 16;
inline constexpr std::size_t kMaxExtensions = 16;

// RFC 9110 §5.6.2.
bool is_token(std::string_view text);

// Appends the elements of one field value. False for an element that is empty, repeated or not a token, and
// for more than kMaxSubprotocols in all.
bool split_subprotocols(std::string_view value, std::vector<std::string_view>& out);

// Appends the elements of one field value, each with its parameters, trimmed. False for what is not an
// extension-list, and for more than kMaxExtensions in all.
bool split_extensions(std::string_view value, std::vector<std::string_view>& out);

std::string_view extension_name(std::string_view element);

// What one permessage-deflate element asks for or grants.
struct DeflateParameters {
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  bool server_bits_named = false;
  bool client_bits_named = false;
  std::uint8_t server_bits = 15;
  std::uint8_t client_bits = 15;
};

enum class DeflateRole : std::uint8_t { offer, answer };

// nullopt for an unknown parameter, one given twice, or a value that §7.1 does not allow in that role.
std::optional<DeflateParameters> parse_deflate(std::string_view element, DeflateRole role);

// Whether the answer is one that a server may give to the offer (§7.1.1, §7.1.2).
bool answers(const DeflateParameters& answer, const DeflateParameters& offer);

}  // namespace sluice::ws
