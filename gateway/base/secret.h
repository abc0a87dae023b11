// Secret: octets that cannot be printed by accident and that are wiped when they die. There is no operator<<, no
// formatter and no implicit conversion; reveal() is the one way in, and every use of it can be found by that name.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace sluice {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      value_ = std::move(other.value_);
      other.wipe();
    }
    return *this;
  }
  ~Secret() { wipe(); }

  bool empty() const { return value_.empty(); }
  std::size_t size() const { return value_.size(); }
  std::string_view reveal() const { return value_; }

 private:
  void wipe() {
    volatile char* at = value_.data();
    for (std::size_t i = 0; i < value_.size(); ++i) at[i] = 0;
    value_.clear();
  }
  std::string value_;
};

}  // namespace sluice
