#include "ws/handshake.h"

#include <algorithm>
#include <array>

#include "base/random.h"
#include "net/crypto.h"
#include "ws/handshake_lists.h"

namespace sluice::ws {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
constexpr std::size_t kKeyOctets = 16;
constexpr std::size_t kKeyCharacters = 24;

// A WebSocket request has no body: nothing may hide between the head and the first frame.
bool has_body(const http::Head& head) {
  return std::any_of(head.fields.begin(), head.fields.end(), [](const http::Field& field) {
    return http::same_name(field.name, "Transfer-Encoding") ||
           (http::same_name(field.name, "Content-Length") && field.value != "0");
  });
}

bool is_key(std::string_view text) {
  if (text.size() != kKeyCharacters) return false;
  const auto octets = net::from_base64(text);
  return octets && octets->size() == kKeyOctets;
}

std::unexpected<Error> bad_answer(const char* detail) {
  return fail(Errc::be_bad_101, Side::upstream, detail);
}

Result<std::string> agreed_subprotocol(const http::Head& head, const std::vector<std::string_view>& offered) {
  const std::size_t count = head.count("Sec-WebSocket-Protocol");
  if (count == 0) return std::string();
  const std::string_view answer = *head.find("Sec-WebSocket-Protocol");
  if (count > 1) return bad_answer("RFC 6455 11.3.4: more than one subprotocol field");
  if (std::find(offered.begin(), offered.end(), answer) == offered.end()) {
    return bad_answer("RFC 6455 4.1: subprotocol that was not offered");
  }
  return std::string(answer);
}

bool deflate_agreed(std::string_view answer, const std::vector<std::string_view>& offered) {
  const auto granted = parse_deflate(answer, DeflateRole::answer);
  if (!granted) return false;
  return std::any_of(offered.begin(), offered.end(), [&granted](std::string_view element) {
    const auto offer = parse_deflate(element, DeflateRole::offer);
    return offer && answers(*granted, *offer);
  });
}

Result<void> agree_extensions(const http::Head& head, const std::vector<std::string_view>& offered,
                              Agreement& agreed) {
  std::vector<std::string_view> elements;
  for (const http::Field& field : head.fields) {
    if (!http::same_name(field.name, "Sec-WebSocket-Extensions")) continue;
    if (!split_extensions(field.value, elements)) return bad_answer("RFC 6455 9.1: broken extension list");
  }
  for (auto element = elements.begin(); element != elements.end(); ++element) {
    const auto same_extension = [name = extension_name(*element)](std::string_view other) {
      return http::same_name(name, extension_name(other));
    };
    if (std::any_of(elements.begin(), element, same_extension)) return bad_answer("the same extension twice");
    if (std::none_of(offered.begin(), offered.end(), same_extension)) {
      return bad_answer("RFC 6455 4.1: extension that was not offered");
    }
    if (is_deflate(*element)) {
      if (!deflate_agreed(*element, offered))
        return bad_answer("RFC 7692 7.1: parameters that answer no offer");
      agreed.deflate = true;
    }
    if (!agreed.extensions.empty()) agreed.extensions += ", ";
    agreed.extensions += *element;
  }
  return {};
}

}  // namespace

std::string accept_value(std::string_view key) {
  std::string text;
  text.reserve(key.size() + kGuid.size());
  text.append(key).append(kGuid);
  return net::base64(net::sha1(as_bytes(text)));
}

std::string fresh_key() {
  std::array<std::uint8_t, kKeyOctets> octets;
  random_fill(octets);
  return net::base64(octets);
}

bool wants_websocket(const http::Head& head) {
  return head.minor_version >= 1 && head.lists("Upgrade", "websocket") && head.lists("Connection", "upgrade");
}

Result<Offer> read_offer(const http::Head& head) {
  if (head.method != "GET") return fail(Errc::method, Side::client, "RFC 6455 4.1: the method is GET");
  if (has_body(head)) return fail(Errc::body_on_upgrade, Side::client, "a WebSocket request with a body");
  if (head.count("Sec-WebSocket-Version") != 1) {
    return fail(Errc::ws_handshake, Side::client, "RFC 6455 4.2.1: one Sec-WebSocket-Version");
  }
  if (*head.find("Sec-WebSocket-Version") != "13") {
    return fail(Errc::ws_version, Side::client, "RFC 6455 4.2.1: version 13");
  }
  if (head.count("Sec-WebSocket-Key") != 1 || !is_key(*head.find("Sec-WebSocket-Key"))) {
    return fail(Errc::ws_key, Side::client, "RFC 6455 4.2.1: one key, base64 of 16 octets");
  }

  Offer offer;
  offer.key = *head.find("Sec-WebSocket-Key");
  for (const http::Field& field : head.fields) {
    if (http::same_name(field.name, "Sec-WebSocket-Protocol")) {
      if (!split_subprotocols(field.value, offer.subprotocols)) {
        return fail(Errc::ws_subprotocol, Side::client,
                    "RFC 6455 4.1: subprotocols are distinct tokens, at most 16");
      }
    } else if (http::same_name(field.name, "Sec-WebSocket-Extensions")) {
      if (!split_extensions(field.value, offer.extensions)) {
        return fail(Errc::ws_handshake, Side::client, "RFC 6455 9.1: broken extension list, or over 16");
      }
    }
  }
  // RFC 7692 §7: an offer with parameters that are unknown, doubled or out of range is declined, the others
  // stand.
  std::erase_if(offer.extensions, [](std::string_view element) {
    return is_deflate(element) && !parse_deflate(element, DeflateRole::offer);
  });
  return offer;
}

bool is_deflate(std::string_view element) {
  return http::same_name(extension_name(element), "permessage-deflate");
}

Result<Agreement> check_answer(const http::Head& head, std::string_view key,
                               const std::vector<std::string_view>& subprotocols,
                               const std::vector<std::string_view>& extensions) {
  if (head.status != 101) return bad_answer("RFC 6455 4.1: status is not 101");
  if (head.minor_version != 1) return bad_answer("RFC 9110 7.8: HTTP/1.0 does not switch protocols");
  if (!head.lists("Upgrade", "websocket")) return bad_answer("RFC 6455 4.1: no Upgrade: websocket");
  if (!head.lists("Connection", "upgrade")) return bad_answer("RFC 6455 4.1: no Connection: upgrade");
  if (head.count("Sec-WebSocket-Accept") != 1 || *head.find("Sec-WebSocket-Accept") != accept_value(key)) {
    return bad_answer("RFC 6455 4.1: Sec-WebSocket-Accept missing, doubled or wrong");
  }
  Agreement agreed;
  agreed.subprotocol = TRY(agreed_subprotocol(head, subprotocols));
  if (auto checked = agree_extensions(head, extensions, agreed); !checked) return fail(checked.error());
  return agreed;
}

}  // namespace sluice::ws
