#include "ws/tunnel.h"

#include <algorithm>

#include "base/utf8.h"
#include "ws/base64_tunnel.h"
#include "ws/framed_tunnel.h"

namespace sluice::ws {

namespace {

relay::Run message(std::size_t size, std::uint8_t opcode) {
  relay::Run run;
  if (size == 0) return run;
  FrameHeader header;
  header.opcode = opcode;
  header.length = size;
  run.prefix_size = static_cast<std::uint8_t>(header.encode(run.prefix.data()));
  run.size = run.payload = size;
  run.begins = run.ends = true;
  run.opcode = opcode;
  return run;
}

}  // namespace

std::unique_ptr<relay::Framer> framer_to_tcp(const FramingRules& rules, const TcpFraming& framing, bool base64) {
  switch (framing.type) {
    case TcpFraming::Type::delimiter: return std::make_unique<WsToDelimited>(rules, framing);
    case TcpFraming::Type::length: return std::make_unique<WsToLengths>(rules, framing);
    case TcpFraming::Type::raw: break;
  }
  if (base64) return std::make_unique<Base64ToTcp>(rules);
  return std::make_unique<WsToTcp>(rules);
}

std::unique_ptr<relay::Framer> framer_from_tcp(const TcpFraming& framing, std::uint8_t opcode, bool base64) {
  if (framing.framed()) return std::make_unique<FramesToWs>(framing, opcode);
  if (base64) return std::make_unique<TcpToBase64>();
  return std::make_unique<TcpToWs>(opcode, framing.invalid_text);
}

Result<relay::Run> TcpToWs::next(MutableBytes bytes) {
  if (opcode_ == kText) return text(bytes);
  return message(bytes.size(), opcode_);
}

Result<relay::Run> TcpToWs::text(MutableBytes bytes) const {
  using enum TcpFraming::InvalidText;
  const std::size_t size = bytes.size() - cut_code_point(bytes);
  if (valid_utf8(bytes.first(size))) return message(size, kText);
  if (invalid_ == close) return fail(kNotText);
  if (invalid_ == binary) return message(size, kBinary);
  if (const std::size_t good = valid_utf8_prefix(bytes); good > 0) return message(good, kText);
  std::array<std::uint8_t, 12> replacements;
  std::size_t put = 0;
  const std::size_t bad = replace_invalid(bytes, false, replacements.data(), put);
  relay::Run run = message(put, kText);  // of another size than the octets that it stands for
  std::copy_n(replacements.begin(), put, run.prefix.begin() + run.prefix_size);
  run.prefix_size = static_cast<std::uint8_t>(run.prefix_size + put);
  run.size = run.skip = run.payload = bad;
  return run;
}

}  // namespace sluice::ws
