// Secret: octets that cannot be printed by accident and that are wiped when their last holder dies. Immutable, so that
// settings which hold one may be copied and shared between threads. There is no operator<<, no formatter and no implicit
// conversion; reveal() is the one way in, and every use of it can be found by that name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

class Secret {
 public:
  Secret() = default;
  // Takes the octets over: nothing of them stays behind in the string.
  explicit Secret(std::string&& value)
      : held_(value.empty() ? nullptr : std::make_shared<const Held>(std::move(value))) {
    wipe(value);  // a short string is copied, not moved
  }
  Secret& operator=(std::string_view value) { return *this = Secret(std::string(value)); }

  bool empty() const { return held_ == nullptr; }
  std::size_t size() const { return reveal().size(); }
  std::string_view reveal() const { return held_ ? std::string_view(held_->octets) : std::string_view(); }
  void clear() { held_.reset(); }

 private:
  static void wipe(std::string& octets) {
    octets.resize(octets.capacity());  // what a shrunken string no longer shows is still there
    volatile char* at = octets.data();
    for (std::size_t i = 0; i < octets.size(); ++i) at[i] = 0;
    octets.clear();
  }
  struct Held {
    explicit Held(std::string&& value) : octets(std::move(value)) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { wipe(octets); }
    std::string octets;
  };
  std::shared_ptr<const Held> held_;
};

}  // namespace sluice
