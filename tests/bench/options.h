// `--name value` pairs; a name that nobody asked for is an error.
#pragma once

#include <charconv>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fail.h"

namespace bench {

class Options {
 public:
  Options(int argc, char** argv, int first) {
    for (int i = first; i < argc; i += 2) {
      const std::string_view name = argv[i];
      if (!name.starts_with("--") || i + 1 == argc)
        fail("expected --name value at '" + std::string(name) + "'");
      values_[std::string(name.substr(2))] = argv[i + 1];
    }
  }

  std::string text(const std::string& name, const std::string& fallback) {
    asked_.insert(name);
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second;
  }
  std::string text(const std::string& name) {
    if (!values_.contains(name)) fail("--" + name + " is required");
    return text(name, "");
  }
  template <typename T>
  T number(const std::string& name, T fallback) {
    const std::string value = text(name, "");
    return value.empty() ? fallback : parse<T>(name, value);
  }
  template <typename T>
  std::vector<T> list(const std::string& name) {
    std::vector<T> numbers;
    std::string_view rest = values_[name];
    asked_.insert(name);
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      numbers.push_back(parse<T>(name, rest.substr(0, comma)));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
    return numbers;
  }
  // After every option has been read.
  void finish() const {
    for (const auto& [name, value] : values_) {
      if (!asked_.contains(name)) fail("unknown option --" + name);
    }
  }

 private:
  template <typename T>
  static T parse(const std::string& name, std::string_view value) {
    T number{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size()) {
      fail("--" + name + ": not a number: " + std::string(value));
    }
    return number;
  }

  std::map<std::string, std::string> values_;
  std::set<std::string> asked_;
};

}  // namespace bench
