// Freer: the deleter of a std::unique_ptr to an object of OpenSSL, by the function that frees it.
#pragma once

namespace sluice::net {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace sluice::net
