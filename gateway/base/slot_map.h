// SlotMap<T>: numbered places for pointers, each number with a generation, so that a name that outlived its object is
// recognised and dropped. Owned by one thread; a Slot may travel between threads, the map may not.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

struct Slot {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 0 names nothing
  friend bool operator==(const Slot&, const Slot&) = default;
};

template <typename T>
class SlotMap {
 public:
  Slot insert(T* item) {
    std::uint32_t index;
    if (free_.empty()) {
      index = static_cast<std::uint32_t>(places_.size());
      places_.push_back({});
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Place& place = places_[index];
    place.item = item;
    ++size_;
    return {index, place.generation};
  }
  // The object, or null when the name is stale.
  T* find(Slot slot) const {
    if (slot.index >= places_.size() || places_[slot.index].generation != slot.generation) return nullptr;
    return places_[slot.index].item;
  }
  void erase(Slot slot) {
    if (!find(slot)) return;
    Place& place = places_[slot.index];
    place.item = nullptr;
    if (++place.generation == 0) place.generation = 1;
    free_.push_back(slot.index);
    --size_;
  }
  std::size_t size() const { return size_; }
  // Places, empty ones included: a sweep walks [0, places()) by at().
  std::size_t places() const { return places_.size(); }
  T* at(std::size_t index) const { return places_[index].item; }

 private:
  struct Place {
    T* item = nullptr;
    std::uint32_t generation = 1;
  };
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace sluice
