// List<T>: intrusive doubly linked list; T derives from Link. Owns nothing. A Link leaves its list when it dies.
#pragma once

namespace sluice {

class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { unlink(); }
  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (!next_) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }

 private:
  template <typename T>
  friend class List;
  Link* next_ = nullptr;
  Link* prev_ = nullptr;
};

template <typename T>
class List {
 public:
  List() { root_.next_ = root_.prev_ = &root_; }
  ~List() {
    while (!empty()) root_.next_->unlink();
    root_.next_ = root_.prev_ = nullptr;
  }
  bool empty() const { return root_.next_ == &root_; }
  T& front() { return static_cast<T&>(*root_.next_); }
  void push_back(T& item) {
    Link& link = item;
    link.unlink();
    link.prev_ = root_.prev_;
    link.next_ = &root_;
    root_.prev_->next_ = &link;
    root_.prev_ = &link;
  }

 private:
  Link root_;
};

}  // namespace sluice
