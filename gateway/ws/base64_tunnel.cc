#include "ws/base64_tunnel.h"

#include <cstring>

#include "net/crypto.h"

namespace sluice::ws {

namespace {

using relay::Run;

constexpr std::uint8_t kNoDigit = 0xFF;

constexpr std::array<std::uint8_t, 256> digits_of_base64() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNoDigit);
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<std::uint8_t>(kDigits[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

constexpr auto kDigitValues = digits_of_base64();

}  // namespace

Result<Run> Base64ToTcp::next(MutableBytes bytes) {
  constexpr Error kNoBase64{Errc::ws_base64, Side::client, false, "a message of the subprotocol base64 is none"};
  Result<Run> result = framer_.next_unmasked(bytes);
  if (!result || result->size == 0 || result->control) return result;
  Run& run = *result;
  if (run.begins) digits_ = padding_ = bits_ = 0;
  const MutableBytes text = bytes.subspan(run.skip, run.payload);
  std::size_t decoded = 0;
  if (run.opcode != kText || !decode(text, decoded)) return fail(kNoBase64);
  if (run.ends && digits_ != 0) return fail(kNoBase64);
  // What is forwarded is the end of what the run covers.
  std::memmove(text.data() + text.size() - decoded, text.data(), decoded);
  run.skip += text.size() - decoded;
  return result;
}

// Each digit completes one octet at most, so that what is written never overtakes what is read.
bool Base64ToTcp::decode(MutableBytes text, std::size_t& decoded) {
  for (const std::uint8_t octet : text) {
    if (octet == '=') {
      if (digits_ < 2 || bits_ != 0) return false;
      ++padding_;
      digits_ = static_cast<std::uint8_t>((digits_ + 1) & 3);
      continue;
    }
    const std::uint8_t digit = kDigitValues[octet];
    if (digit == kNoDigit || padding_ > 0) return false;
    const unsigned all = unsigned{bits_} << 6 | digit;
    const unsigned left = 6 - 2 * digits_;  // bits that stay behind: 6, 4, 2, 0
    if (digits_ > 0) text[decoded++] = static_cast<std::uint8_t>(all >> left);
    bits_ = static_cast<std::uint8_t>(all & ((1u << left) - 1));
    digits_ = static_cast<std::uint8_t>((digits_ + 1) & 3);
  }
  return true;
}

Result<Run> TcpToBase64::next(MutableBytes bytes) {
  Run run;
  if (bytes.empty()) return run;
  text_ = net::base64(bytes);
  FrameHeader header;
  header.opcode = kText;
  header.length = text_.size();
  run.prefix_size = static_cast<std::uint8_t>(header.encode(run.prefix.data()));
  run.size = run.skip = run.payload = bytes.size();
  run.begins = run.ends = true;
  run.opcode = kText;
  run.content = as_bytes(text_);
  return run;
}

}  // namespace sluice::ws
