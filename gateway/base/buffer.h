// Turn, Buffer, BufferPool: where bytes live.
//
// A Turn is the worker's scratch: chunks that every connection of the thread uses in turn, for the length of one event.
// What could not leave in that turn is moved into a Buffer borrowed from the BufferPool and given back when it has left.
// An idle connection owns neither. All three belong to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace sluice {

// Most octets that one receive takes in, and so the most that one turn moves. A little under 64 KiB, so that a turn leaves
// as one segment of the loopback (64 KiB less its headers): 64 KiB would leave as two, the second with 53 octets, and cost a
// third more. Measured best of 16 to 256 KiB.
inline constexpr std::size_t kChunk = 60 * 1024;
// Room that a decrypted chunk may need beyond kChunk: one TLS record that was partly received before, and a remainder.
inline constexpr std::size_t kSlack = 48 * 1024;

struct Turn {
  std::unique_ptr<std::uint8_t[]> plain{new std::uint8_t[kChunk + kSlack]};   // what Stream::fill hands out
  std::unique_ptr<std::uint8_t[]> cipher_in{new std::uint8_t[kChunk]};        // one receive of a TlsStream
  std::unique_ptr<std::uint8_t[]> cipher_out{new std::uint8_t[kChunk + kSlack]};  // records gathered for one send
  std::unique_ptr<std::uint8_t[]> scratch{new std::uint8_t[kChunk + kSlack]};  // unmasked copies for who must read
  const void* plain_owner = nullptr;  // the stream whose received() lies in `plain`; checked, because two would clash
};

class BufferPool;

// A block of the pool: its bookkeeping stands in front of its octets, so that an empty Buffer is two pointers.
struct BufferBlock {
  std::uint32_t begin;
  std::uint32_t end;
  std::uint32_t capacity;
  std::uint8_t* octets() { return reinterpret_cast<std::uint8_t*>(this + 1); }
  const std::uint8_t* octets() const { return reinterpret_cast<const std::uint8_t*>(this + 1); }
};

// Octets kept with a connection. Empty and free of memory until used; gives its block back when emptied or destroyed.
class Buffer {
 public:
  explicit Buffer(BufferPool& pool) : pool_(&pool) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { clear(); }

  bool empty() const { return block_ == nullptr; }
  std::size_t size() const { return block_ ? block_->end - block_->begin : 0; }
  MutableBytes bytes() { return {block_ ? block_->octets() + block_->begin : nullptr, size()}; }
  Bytes bytes() const { return {block_ ? block_->octets() + block_->begin : nullptr, size()}; }

  // Appends a copy; grows the block to the next size class when needed.
  void append(Bytes bytes);
  // Drops octets from the front; at the last one the block goes back to the pool.
  void consume(std::size_t n);
  void clear();

 private:
  BufferPool* pool_;
  BufferBlock* block_ = nullptr;  // none while empty
};

// Free lists by size class (512 B, 1 KiB, ... 256 KiB). Keeps at most `keep` octets; beyond that blocks are freed.
class BufferPool {
 public:
  explicit BufferPool(std::size_t keep = 4 * 1024 * 1024) : keep_(keep) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  // Octets lent out now: what tests of leaks look at.
  std::size_t lent() const { return lent_; }

 private:
  friend class Buffer;
  BufferBlock* take(std::size_t at_least);
  void give(BufferBlock* block);

  static constexpr std::size_t kClasses = 10;
  static constexpr std::size_t kSmallest = 512;
  std::array<std::vector<BufferBlock*>, kClasses> free_;
  std::size_t keep_;
  std::size_t kept_ = 0;
  std::size_t lent_ = 0;
};

}  // namespace sluice
