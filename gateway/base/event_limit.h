// EventLimit: at most so many events of one name in a second, and how many were left out since. Time is an argument.
// Not thread-safe: base/log guards it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::log {

class EventLimit {
 public:
  explicit EventLimit(std::uint32_t a_second) : most_(a_second) {}

  // Whether this event may be said: the number of those of its name left out before it, or nullopt for "leave it out".
  std::optional<std::uint64_t> admit(std::string_view name, std::int64_t now_milliseconds) {
    auto at = windows_.find(name);
    if (at == windows_.end()) at = windows_.emplace(std::string(name), Window{now_milliseconds, 0, 0}).first;
    Window& window = at->second;
    if (now_milliseconds - window.begin >= 1000 || now_milliseconds < window.begin) {
      window.begin = now_milliseconds;
      window.said = 0;
    }
    if (window.said == most_) {
      ++window.left_out;
      return std::nullopt;
    }
    ++window.said;
    return std::exchange(window.left_out, 0);
  }

 private:
  struct Window {
    std::int64_t begin;
    std::uint32_t said;
    std::uint64_t left_out;
  };
  std::uint32_t most_;
  std::map<std::string, Window, std::less<>> windows_;  // event names are literals of the program: a bounded set
};

}  // namespace sluice::log
