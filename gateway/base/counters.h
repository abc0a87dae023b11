// Counters that cost a relaxed load and store. Each belongs to one writing thread (a worker); a scrape reads all the
// workers' copies from another thread and sums them. Never shared by two writers.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice {

class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// A gauge by the same rule: one writer.
class Gauge {
 public:
  void add(std::int64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(std::int64_t n = 1) { add(-n); }
  void set(std::int64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::int64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Histogram over fixed upper bounds (ascending); the last bucket is +Inf. `sum` is in the unit of the bounds times 1e6.
template <std::size_t N>
class Histogram {
 public:
  explicit constexpr Histogram(const std::array<double, N>& bounds) : bounds_(&bounds) {}
  void observe(double value) {
    std::size_t i = 0;
    while (i < N && value > (*bounds_)[i]) ++i;
    buckets_[i].add();
    sum_micro_.add(static_cast<std::uint64_t>(value * 1e6));
  }
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].get(); }
  double sum() const { return static_cast<double>(sum_micro_.get()) / 1e6; }
  const std::array<double, N>& bounds() const { return *bounds_; }

 private:
  const std::array<double, N>* bounds_;
  std::array<Counter, N + 1> buckets_;
  Counter sum_micro_;
};

// Counts by size, of one thread and not shared: what SizeHistogram takes in at once.
struct SizeCounts {
  static constexpr std::size_t kBounds = 8;
  std::array<std::uint32_t, kBounds + 1> buckets{};
  // Bounds are 64 times powers of 4; a value belongs to the first bound that it does not exceed.
  static std::size_t bucket_of(std::uint64_t size) {
    const auto bits = static_cast<std::size_t>(std::bit_width((size == 0 ? 0 : size - 1) >> 6));
    return std::min<std::size_t>((bits + 1) / 2, kBounds);
  }
  void add(std::uint64_t size) { ++buckets[bucket_of(size)]; }
};

// Histogram of octet counts over kSizeBounds, on the message path: the bucket is found by one bit count.
class SizeHistogram {
 public:
  static constexpr std::size_t kBounds = SizeCounts::kBounds;
  void observe(std::uint64_t size) {
    buckets_[SizeCounts::bucket_of(size)].add();
    sum_.add(size);
  }
  void observe(const SizeCounts& counts, std::uint64_t total) {
    for (std::size_t i = 0; i <= kBounds; ++i) {
      if (counts.buckets[i] > 0) buckets_[i].add(counts.buckets[i]);
    }
    sum_.add(total);
  }
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].get(); }
  double sum() const { return static_cast<double>(sum_.get()); }
  const std::array<double, kBounds>& bounds() const;

 private:
  std::array<Counter, kBounds + 1> buckets_;
  Counter sum_;
};

inline constexpr std::array<double, 14> kSecondsBounds{.0005, .001, .0025, .005, .01, .025, .05,
                                                       .1,    .25,  .5,    1,    2.5, 5,    10};
inline constexpr std::array<double, 8> kLifetimeBounds{1, 10, 60, 300, 1800, 7200, 28800, 86400};
inline constexpr std::array<double, 8> kSizeBounds{64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};
inline const std::array<double, 8>& SizeHistogram::bounds() const { return kSizeBounds; }

}  // namespace sluice
