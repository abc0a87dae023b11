// WsPeer: a WebSocket client or server that a test holds at the far end of the gateway. Builds and reads frames by the
// plainest code that can be right, none of gateway/ws in it but the accept value.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/far_end.h"
#include "ws/handshake.h"

namespace sluice::test {

struct Frame {
  std::uint8_t first = 0;
  bool masked = false;
  std::string payload;

  std::uint8_t opcode() const { return first & 15; }
  bool fin() const { return first >= 128; }
  std::uint16_t code() const {  // of a Close; 1005 when it has none
    if (payload.size() < 2) return 1005;
    return static_cast<std::uint16_t>(static_cast<std::uint8_t>(payload[0]) << 8 | static_cast<std::uint8_t>(payload[1]));
  }
  std::string reason() const { return payload.size() > 2 ? payload.substr(2) : std::string(); }
  bool operator==(const Frame&) const = default;
};

inline std::string frame_octets(std::uint8_t first, std::string_view payload, bool masked) {
  constexpr std::uint8_t kMask[] = {0xA1, 0x5C, 0x07, 0xF3};
  std::string out(1, static_cast<char>(first));
  const std::size_t size = payload.size();
  const int extended = size < 126 ? 0 : size < 65536 ? 2 : 8;
  const std::size_t code = extended == 0 ? size : extended == 2 ? 126 : 127;
  out.push_back(static_cast<char>((masked ? 0x80 : 0) | code));
  for (int i = extended; i-- > 0;) out.push_back(static_cast<char>(size >> (8 * i)));
  if (masked) out.append(reinterpret_cast<const char*>(kMask), 4);
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(payload[i] ^ (masked ? kMask[i % 4] : 0)));
  return out;
}

inline std::string close_payload(std::uint16_t code, std::string_view reason = "") {
  std::string out{static_cast<char>(code >> 8), static_cast<char>(code)};
  return out.append(reason);
}

// Takes whole frames from the front of `octets`.
inline std::vector<Frame> read_frames(std::string& octets) {
  std::vector<Frame> frames;
  std::size_t from = 0;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(octets[from + i]); };
  while (octets.size() - from >= 2) {
    Frame frame{at(0), at(1) >= 128, {}};
    std::uint64_t length = at(1) & 127;
    const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    std::size_t header = 2 + extended + (frame.masked ? 4 : 0);
    if (octets.size() - from < header) break;
    if (extended > 0) length = 0;
    for (std::size_t i = 0; i < extended; ++i) length = length << 8 | at(2 + i);
    if (octets.size() - from - header < length) break;
    frame.payload = octets.substr(from + header, length);
    for (std::size_t i = 0; frame.masked && i < length; ++i) {
      frame.payload[i] = static_cast<char>(static_cast<std::uint8_t>(frame.payload[i]) ^ at(header - 4 + i % 4));
    }
    from += header + length;
    frames.push_back(std::move(frame));
  }
  octets.erase(0, from);
  return frames;
}

// The value of a field in a head, "" when it is not there.
inline std::string field_of(std::string_view head, std::string_view name) {
  const std::string start = "\r\n" + std::string(name) + ": ";
  const std::size_t found = head.find(start);
  if (found == std::string_view::npos) return {};
  const std::size_t from = found + start.size();
  return std::string(head.substr(from, head.find("\r\n", from) - from));
}

inline constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// `fields`: further lines, each ending with CR LF.
inline std::string upgrade_request(std::string_view target = "/ws", std::string_view fields = "") {
  return "GET " + std::string(target) +
         " HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: " +
         std::string(kKey) + "\r\n" + std::string(fields) + "\r\n";
}

class WsPeer {
 public:
  enum class Role { client, server };
  // Of a server's answer to the handshake.
  enum class Greeting { accept, none };

  WsPeer(FarEnd& end, Role role) : end_(&end), role_(role) {}

  FarEnd& end() { return *end_; }
  // Reads what has come; true when there was something.
  bool poll() {
    const std::string came = end_->take();
    if (came.empty()) return false;
    raw += came;
    if (!raw_only) read();
    return true;
  }

  void send(std::uint8_t first, std::string_view payload) {
    end_->send(frame_octets(first, payload, role_ == Role::client));
  }
  void text(std::string_view payload) { send(0x81, payload); }
  void binary(std::string_view payload) { send(0x82, payload); }
  void ping(std::string_view payload) { send(0x89, payload); }
  void pong(std::string_view payload) { send(0x8A, payload); }
  void close(std::uint16_t code, std::string_view reason = "") { send(0x88, close_payload(code, reason)); }

  // A server's 101 to the head that it has received; `fields` as for upgrade_request.
  static std::string switching(const std::string& request, std::string_view fields = "") {
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           ws::accept_value(field_of(request, "Sec-WebSocket-Key")) + "\r\n" + std::string(fields) + "\r\n";
  }

  int status() const { return head.size() < 12 ? 0 : std::stoi(head.substr(9, 3)); }
  // The messages so far, fragments joined; control frames are not among them.
  std::vector<std::string> messages() const {
    std::vector<std::string> all;
    bool open = false;
    for (const Frame& frame : frames) {
      if (frame.opcode() >= 8) continue;
      if (!open) all.emplace_back();
      all.back() += frame.payload;
      open = !frame.fin();
    }
    return all;
  }
  const Frame* close_frame() const {
    for (const Frame& frame : frames) {
      if (frame.opcode() == 8) return &frame;
    }
    return nullptr;
  }
  std::uint16_t close_code() const { return close_frame() ? close_frame()->code() : 0; }
  std::size_t count(std::uint8_t opcode) const {
    std::size_t n = 0;
    for (const Frame& frame : frames) n += frame.opcode() == opcode;
    return n;
  }

  std::string raw;   // received and not yet read as head or frames
  std::string head;  // with its empty line
  std::string body;  // of an answer other than 101
  std::vector<Frame> frames;
  bool raw_only = false;  // a TCP peer: everything stays in `raw`
  Greeting greeting = Greeting::accept;
  std::string greeting_fields;
  bool answers_close = false;  // with the same Close
  bool echoes = false;         // data frames; pings by pongs
  std::function<void(WsPeer&, const Frame&)> on_frame;

 private:
  void read() {
    if (head.empty()) {
      const std::size_t size = raw.find("\r\n\r\n");
      if (size == std::string::npos) return;
      head = raw.substr(0, size + 4);
      raw.erase(0, size + 4);
      if (role_ == Role::server && greeting == Greeting::accept) end_->send(switching(head, greeting_fields));
    }
    if (role_ == Role::client && status() != 101) {
      body += std::exchange(raw, {});
      return;
    }
    for (Frame& frame : read_frames(raw)) {
      if (frame.masked != (role_ == Role::server)) throw std::runtime_error("a frame with the wrong masking");
      frames.push_back(frame);
      if (answers_close && frame.opcode() == 8 && !closed_) {
        closed_ = true;
        send(0x88, frame.payload);
      }
      if (echoes && frame.opcode() < 3) send(frame.first, frame.payload);
      if (echoes && frame.opcode() == 9) pong(frame.payload);
      if (on_frame) on_frame(*this, frame);
    }
  }

  FarEnd* end_;
  Role role_;
  bool closed_ = false;
};

}  // namespace sluice::test
