// Stream: bytes in both directions. The central contract of the program.
//
// Reading: fill() makes one receive; received() is what has been received and not consumed; consume() drops octets from
// its front. Within a turn received() may lie in the worker's shared Turn, so every turn that called fill() ends with
// settle(), which moves what is left (normally nothing) into a Buffer of the stream's own.
// Writing: write() hands over octets; what it took is the stream's to deliver.
//
// Readiness is "the last operation did not block" (starved, jammed), so octets pending inside TLS need no special case:
// who is neither starved nor jammed is worth another try, and an edge clears both.
#pragma once

#include <cstddef>
#include <span>

#include "base/answer.h"
#include "base/buffer.h"
#include "base/bytes.h"

namespace sluice::event {
class Loop;
}

namespace sluice::net {

// Most parts of one write().
inline constexpr std::size_t kMostParts = 16;

// What a stream needs of the thread that it lives on. Outlives every stream.
struct Place {
  event::Loop& loop;
  Turn& turn;
  BufferPool& pool;
};

// Told of every edge of the streams that it owns. May destroy the stream.
class Ready {
 public:
  virtual void on_ready() = 0;

 protected:
  ~Ready() = default;
};

class Stream {
 public:
  virtual ~Stream() = default;
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // One receive behind what is there. ok: something arrived (or a handshake moved on); blocked: an edge will come; end:
  // the other side finished; error: dead. At most one turn of octets may be unconsumed: a full stream answers blocked.
  virtual Io fill() = 0;
  // Mutable, so that a codec may work in place. Valid until the next fill, consume, settle or write on this thread's Turn.
  virtual MutableBytes received() = 0;
  virtual void consume(std::size_t n) = 0;
  virtual void settle() = 0;

  // Takes octets from the parts in order; `taken` says how many it took. ok: all; blocked: the kernel said "not now" and
  // the rest must be offered again after an edge; error: dead. With no parts it only sends what it still owes.
  virtual Io write(std::span<const Bytes> parts, std::size_t& taken) = 0;

  // Half-close: says the end after what it owes has left. Idempotent.
  virtual void finish() = 0;
  // Full close, synchronous and idempotent; no callback after it. abort: with RST, dropping what was not sent.
  virtual void close() = 0;
  virtual void abort() = 0;

  // Octets of earlier writes that it keeps itself.
  virtual std::size_t owed() const { return 0; }
  // Whether it may: then what write() took is not known to have left before unsent() says so.
  virtual bool keeps() const { return false; }
  // Octets written that the other end has not acknowledged: asked of a jammed stream, to tell slow from stalled.
  virtual std::size_t undelivered() const { return 0; }

  // The other end has said its end or reset the connection, whatever of it is still to be received. For who does not read.
  virtual bool hung_up() const { return false; }

  // Who is told of edges; null: nobody.
  virtual void set_ready(Ready* ready) = 0;

  // The last fill / write blocked and no edge has come since.
  bool starved() const { return starved_; }
  bool jammed() const { return jammed_; }
  // It keeps octets of earlier writes that the kernel did not take: write() without parts tries again.
  bool unsent() const { return unsent_; }
  // True when the last receive was short, so that starved() is a conclusion and not the kernel's word: an error that came
  // together with the last octets announces itself by no further edge. Then the next fill() asks the kernel. For a sweep.
  bool recheck() {
    if (!concluded_) return false;
    concluded_ = starved_ = false;
    return true;
  }

 protected:
  bool starved_ = false;
  bool jammed_ = false;
  bool unsent_ = false;
  bool concluded_ = false;
};

}  // namespace sluice::net
