#include "server/metrics_families.h"

#include <prometheus/text_serializer.h>

#include <sstream>

namespace sluice::server {

prometheus::ClientMetric* Families::Family::room(Labels labels, std::size_t series) {
  if (families_.series_ + series > families_.most_) {
    families_.dropped_ += series;
    return nullptr;
  }
  families_.series_ += series;
  prometheus::ClientMetric& metric = family_.metric.emplace_back();
  metric.label.reserve(labels.size());
  for (const auto& [name, value] : labels) metric.label.push_back({std::string(name), std::string(value)});
  return &metric;
}

void Families::Family::add(Labels labels, double value) {
  prometheus::ClientMetric* metric = room(labels, 1);
  if (!metric) return;
  if (family_.type == prometheus::MetricType::Counter) {
    metric->counter.value = value;
  } else {
    metric->gauge.value = value;
  }
}

Families::Family Families::family(std::string_view name, std::string_view help, prometheus::MetricType type) {
  prometheus::MetricFamily& made = all_.emplace_back();
  made.name = name;
  made.help = help;
  made.type = type;
  return {*this, made};
}

Families::Family Families::counter(std::string_view name, std::string_view help) {
  return family(name, help, prometheus::MetricType::Counter);
}

Families::Family Families::gauge(std::string_view name, std::string_view help) {
  return family(name, help, prometheus::MetricType::Gauge);
}

Families::Family Families::histogram(std::string_view name, std::string_view help) {
  return family(name, help, prometheus::MetricType::Histogram);
}

std::string Families::text() const {
  std::vector<prometheus::MetricFamily> used;
  for (const prometheus::MetricFamily& family : all_) {
    if (!family.metric.empty()) used.push_back(family);
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, used);
  return std::move(out).str();
}

}  // namespace sluice::server
