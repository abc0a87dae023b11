// WsFramer and WsToTcp: a stream shown whole and the same stream cut anywhere mean the same messages or end
// in the same error; what is forwarded is the stream itself, or its unmasked payload. Input: an octet of
// rules, an octet of limits, four octets that seed the cuts, then the stream.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ws/control.h"
#include "ws/tunnel.h"

namespace {

using namespace sluice;

struct Message {
  std::uint8_t opcode = 0;
  bool control = false;
  bool whole = false;
  std::uint64_t payload = 0;
  std::vector<std::uint8_t> content;
  bool operator==(const Message&) const = default;
};

struct Seen {
  std::vector<Message> messages;
  std::vector<std::uint8_t> forwarded;
  Errc error = Errc::none;
  bool at_message = false;
};

void require(bool condition) {
  if (!condition) std::abort();
}

void note(const relay::Run& run, Seen& seen, std::size_t& open) {
  if (run.control) {
    require(run.content.size() <= 125 && !run.begins && !run.ends);
    seen.messages.push_back({run.opcode, true, true, 0, {run.content.begin(), run.content.end()}});
    return;
  }
  if (run.begins) {
    seen.messages.push_back({run.opcode, false, false, 0, {}});
    open = seen.messages.size() - 1;
  }
  require(open < seen.messages.size());
  Message& message = seen.messages[open];
  require(!message.whole && message.opcode == run.opcode);
  message.payload += run.payload;
  message.whole = run.ends;
}

// The sizes of the pieces come out of `seed`; 0 shows all at once.
Seen walk(relay::Framer& framer, std::vector<std::uint8_t> stream, std::uint32_t seed) {
  Seen seen;
  std::size_t open = SIZE_MAX;
  std::size_t end = seed == 0 ? stream.size() : 0;
  for (std::size_t at = 0;;) {
    auto run = framer.next(MutableBytes(stream).subspan(at, end - at));
    if (!run) {
      seen.error = run.error().code;
      return seen;
    }
    require(run->size <= end - at && run->skip <= run->size && run->payload <= run->size - run->skip);
    if (run->size == 0) {
      if (end == stream.size()) break;
      seed = seed * 1664525 + 1013904223;
      end = std::min<std::size_t>(stream.size(), end + 1 + (seed >> 28) * (seed >> 30));
      continue;
    }
    seen.forwarded.insert(seen.forwarded.end(), stream.begin() + static_cast<std::ptrdiff_t>(at + run->skip),
                          stream.begin() + static_cast<std::ptrdiff_t>(at + run->size));
    note(*run, seen, open);
    at += run->size;
  }
  seen.at_message = framer.at_message_boundary();
  require(framer.at_frame_boundary() || !seen.at_message);
  return seen;
}

// What peek() promises at a message boundary is what next() then says one by one.
void check_batches(const ws::FramingRules& rules, std::vector<std::uint8_t> stream) {
  ws::WsFramer framer(rules);
  for (std::size_t at = 0; at < stream.size();) {
    if (framer.at_message_boundary()) {
      const relay::Batch promised = framer.peek(Bytes(stream).subspan(at));
      relay::Batch kept;
      while (kept.size < promised.size) {
        const auto run = framer.next(MutableBytes(stream).subspan(at + kept.size));
        require(run && run->size > 0 && run->begins && run->ends && !run->control && run->skip == 0);
        kept.size += run->size;
        kept.payload += run->payload;
        ++(run->opcode == ws::kText ? kept.text : kept.binary);
        kept.sizes.add(run->payload);
      }
      require(kept.size == promised.size && kept.payload == promised.payload && kept.text == promised.text &&
              kept.binary == promised.binary && kept.sizes.buckets == promised.sizes.buckets);
      at += kept.size;
    }
    const auto run = framer.next(MutableBytes(stream).subspan(at));
    if (!run || run->size == 0) return;
    at += run->size;
  }
}

template <typename Framer>
Seen compare(const ws::FramingRules& rules, const std::vector<std::uint8_t>& stream, std::uint32_t seed) {
  Framer whole(rules);
  const Seen expected = walk(whole, stream, 0);
  Framer cut(rules);
  const Seen seen = walk(cut, stream, seed | 1);
  require(seen.error == expected.error);
  if (seen.error == Errc::none) {
    require(seen.messages == expected.messages && seen.forwarded == expected.forwarded);
    require(seen.at_message == expected.at_message);
  }
  return expected;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  if (size < 6) return 0;
  ws::FramingRules rules;
  rules.side = (octets[0] & 1) != 0 ? Side::upstream : Side::client;
  rules.rsv1 = (octets[0] & 2) != 0;
  rules.validate_utf8 = (octets[0] & 4) != 0;
  rules.max_message = (octets[0] & 8) != 0 ? octets[1] * 4u : 0;
  rules.max_fragments = (octets[0] & 16) != 0 ? octets[1] % 8u : 1024;
  const std::uint32_t seed = load_be<std::uint32_t>(octets + 2);
  const std::vector<std::uint8_t> stream(octets + 6, octets + size);

  const Seen frames = compare<ws::WsFramer>(rules, stream, seed);
  require(frames.forwarded.size() <= stream.size() &&
          std::equal(frames.forwarded.begin(), frames.forwarded.end(), stream.begin()));
  check_batches(rules, stream);
  const Seen payload = compare<ws::WsToTcp>(rules, stream, seed);
  require(payload.error == frames.error);
  require(payload.messages == frames.messages);
  for (const Message& message : frames.messages) {
    if (message.opcode == ws::kClose) (void)ws::parse_close(message.content, rules.side);
  }
  return 0;
}
