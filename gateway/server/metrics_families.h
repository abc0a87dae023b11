// Families: the families of one scrape under construction, in order, with a bound on their series. Private to
// server/metrics*.
#pragma once

#include <prometheus/metric_family.h>

#include <cmath>
#include <deque>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counters.h"

namespace sluice::server {

using Label = std::pair<std::string_view, std::string_view>;
using Labels = std::initializer_list<Label>;

// A histogram summed over workers.
template <std::size_t N>
class HistogramSum {
 public:
  template <typename One>
  void add(const One& one) {
    bounds_ = &one.bounds();
    for (std::size_t i = 0; i <= N; ++i) buckets_[i] += one.bucket(i);
    sum_ += one.sum();
  }
  // The count is that of the buckets as they were read, so that it fits them while workers count on.
  prometheus::ClientMetric::Histogram result() const {
    prometheus::ClientMetric::Histogram out;
    for (std::size_t i = 0; i <= N; ++i) {
      out.sample_count += buckets_[i];
      const double bound = i < N && bounds_ ? (*bounds_)[i] : std::numeric_limits<double>::infinity();
      if (i == N || bounds_) out.bucket.push_back({out.sample_count, bound});
    }
    out.sample_sum = sum_;
    return out;
  }

 private:
  const std::array<double, N>* bounds_ = nullptr;
  std::array<std::uint64_t, N + 1> buckets_{};
  double sum_ = 0;
};

class Families {
 public:
  explicit Families(std::size_t most_series) : most_(most_series) {}

  class Family {
   public:
    void add(Labels labels, double value);
    void add(Labels labels, std::uint64_t value) { add(labels, static_cast<double>(value)); }
    void add(Labels labels, std::int64_t value) { add(labels, static_cast<double>(value)); }
    void add(Labels labels, unsigned value) { add(labels, static_cast<double>(value)); }
    void add(Labels labels, bool value) { add(labels, value ? 1.0 : 0.0); }
    // Leaves out zero: series of enums that were never used.
    void add_used(Labels labels, std::uint64_t value) {
      if (value > 0) add(labels, value);
    }
    template <std::size_t N>
    void add(Labels labels, const HistogramSum<N>& sum) {
      if (prometheus::ClientMetric* metric = room(labels, N + 3)) metric->histogram = sum.result();
    }

   private:
    friend class Families;
    Family(Families& families, prometheus::MetricFamily& family) : families_(families), family_(family) {}
    prometheus::ClientMetric* room(Labels labels, std::size_t series);
    Families& families_;
    prometheus::MetricFamily& family_;
  };

  Family counter(std::string_view name, std::string_view help);
  Family gauge(std::string_view name, std::string_view help);
  Family histogram(std::string_view name, std::string_view help);

  // Exposition text of all families that have a series.
  std::string text() const;
  std::size_t dropped() const { return dropped_; }

 private:
  Family family(std::string_view name, std::string_view help, prometheus::MetricType type);

  std::deque<prometheus::MetricFamily> all_;  // a deque: references stay good while it grows
  std::size_t most_;
  std::size_t series_ = 0;
  std::size_t dropped_ = 0;
};

}  // namespace sluice::server
