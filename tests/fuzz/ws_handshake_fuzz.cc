// The list-valued fields of the opening handshake: whatever they hold is refused, or read into elements that
// lie inside the field and read the same when they are written again. Input: lines "P<value>" (subprotocols),
// "E<value>" (extensions) or "K<value>" (key).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "ws/handshake.h"

namespace {

using namespace sluice;

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";

void require(bool condition) {
  if (!condition) std::abort();
}

std::string joined(const std::vector<std::string_view>& elements) {
  std::string out;
  for (const std::string_view element : elements) {
    if (!out.empty()) out += ", ";
    out += element;
  }
  return out;
}

http::Head request(std::string_view key, std::string_view subprotocols, std::string_view extensions) {
  http::Head head;
  head.method = "GET";
  head.target = "/";
  head.fields = {{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", key}};
  if (!subprotocols.empty()) head.fields.push_back({"Sec-WebSocket-Protocol", subprotocols});
  if (!extensions.empty()) head.fields.push_back({"Sec-WebSocket-Extensions", extensions});
  return head;
}

void check_answer_of(const ws::Offer& offer, std::string_view subprotocol, std::string_view extensions) {
  const std::string accept = ws::accept_value(offer.key);
  http::Head head;
  head.status = 101;
  head.fields = {{"Upgrade", "websocket"}, {"Connection", "upgrade"}, {"Sec-WebSocket-Accept", accept}};
  if (!subprotocol.empty()) head.fields.push_back({"Sec-WebSocket-Protocol", subprotocol});
  if (!extensions.empty()) head.fields.push_back({"Sec-WebSocket-Extensions", extensions});
  const auto agreed = ws::check_answer(head, offer.key, offer.subprotocols, offer.extensions);
  if (!agreed) return;
  require(agreed->subprotocol == subprotocol);
  require(!agreed->deflate || !agreed->extensions.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  http::Head head = request(kKey, {}, {});
  std::string_view rest = as_text({octets, size});
  std::string_view last_subprotocol;
  std::string_view last_extensions;
  while (!rest.empty()) {
    const std::size_t line_end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, line_end);
    rest.remove_prefix(std::min(line_end + 1, rest.size()));
    if (line.empty()) continue;
    const std::string_view value = line.substr(1);
    if (line[0] == 'P') head.fields.push_back({"Sec-WebSocket-Protocol", last_subprotocol = value});
    if (line[0] == 'E') head.fields.push_back({"Sec-WebSocket-Extensions", last_extensions = value});
    if (line[0] == 'K') head.fields[1].value = value;
  }

  const auto offer = ws::read_offer(head);
  if (!offer) return 0;
  for (const std::string_view element : offer->extensions) (void)ws::is_deflate(element);
  const std::string subprotocols = joined(offer->subprotocols);
  const std::string extensions = joined(offer->extensions);
  const http::Head again = request(offer->key, subprotocols, extensions);
  const auto second = ws::read_offer(again);
  require(second.has_value());
  require(second->subprotocols == offer->subprotocols && second->extensions == offer->extensions);
  check_answer_of(*offer, last_subprotocol, last_extensions);
  return 0;
}
