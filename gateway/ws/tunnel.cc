#include "ws/tunnel.h"

#include "base/utf8.h"

namespace sluice::ws {

Result<relay::Run> TcpToWs::next(MutableBytes bytes) {
  relay::Run run;
  std::size_t size = bytes.size();
  if (opcode_ == kText) {
    size -= cut_code_point(bytes);
    if (!valid_utf8(bytes.first(size))) return fail(Errc::ws_utf8, Side::upstream, "TCP bytes are not UTF-8");
  }
  if (size == 0) return run;
  FrameHeader header;
  header.opcode = opcode_;
  header.length = size;
  run.prefix_size = static_cast<std::uint8_t>(header.encode(run.prefix.data()));
  run.size = run.payload = size;
  run.begins = run.ends = true;
  run.opcode = opcode_;
  return run;
}

}  // namespace sluice::ws
