#include "config/document.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <chrono>
#include <tuple>

#include "config/nesting.h"

namespace sluice::config {
namespace {

Place place_of(const toml::source_position& position, std::uint32_t file) {
  return {file, position.line, position.column};
}

// A date without a time, or both without an offset, name no instant.
std::optional<WallTime> instant_of(const toml::date_time& from) {
  if (!from.offset) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(from.date.year), std::chrono::month(from.date.month),
                                         std::chrono::day(from.date.day)};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(from.time.hour) + std::chrono::minutes(from.time.minute) +
         std::chrono::seconds(from.time.second) + std::chrono::milliseconds(from.time.nanosecond / 1'000'000) -
         std::chrono::minutes(from.offset->minutes);
}

Node convert(const toml::node& from, std::uint32_t file);

void convert_table(const toml::table& from, std::uint32_t file, Node& out) {
  out.kind = Node::Kind::table;
  out.members.reserve(from.size());
  for (const auto& [key, value] : from) {
    out.members.push_back({std::string(key.str()), place_of(key.source().begin, file), convert(value, file)});
  }
  // toml++ sorts by name; people read by line.
  std::stable_sort(out.members.begin(), out.members.end(), [](const Member& a, const Member& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
}

Node convert(const toml::node& from, std::uint32_t file) {
  Node out;
  out.place = place_of(from.source().begin, file);
  switch (from.type()) {
    case toml::node_type::table: convert_table(*from.as_table(), file, out); break;
    case toml::node_type::array:
      out.kind = Node::Kind::array;
      out.items.reserve(from.as_array()->size());
      for (const toml::node& item : *from.as_array()) out.items.push_back(convert(item, file));
      break;
    case toml::node_type::string:
      out.kind = Node::Kind::text;
      out.text = from.as_string()->get();
      break;
    case toml::node_type::integer:
      out.kind = Node::Kind::integer;
      out.integer = from.as_integer()->get();
      break;
    case toml::node_type::boolean:
      out.kind = Node::Kind::boolean;
      out.integer = from.as_boolean()->get() ? 1 : 0;
      break;
    case toml::node_type::floating_point:
      out.kind = Node::Kind::real;
      out.text = fmt::format("{}", from.as_floating_point()->get());
      break;
    default:
      out.kind = Node::Kind::date;
      if (from.is_date_time()) out.instant = instant_of(from.as_date_time()->get());
      break;
  }
  return out;
}

}  // namespace

bool parse_document(std::uint32_t file, Reporter& reporter, Node& out) {
  const std::string& content = reporter.text(file);
  if (const auto place = too_deep(content)) {
    reporter.error({file, place->line, place->column}, "the nesting is too deep");
    return false;
  }
  try {
    const toml::table table = toml::parse(content, reporter.name(file));
    out.place = {file, 0, 0};
    convert_table(table, file, out);
    return true;
  } catch (const toml::parse_error& fault) {
    reporter.error(place_of(fault.source().begin, file), fmt::format("not TOML: {}", fault.description()));
  } catch (const std::exception& fault) {
    reporter.error({file, 0, 0}, fmt::format("cannot be parsed: {}", fault.what()));
  }
  return false;
}

}  // namespace sluice::config
