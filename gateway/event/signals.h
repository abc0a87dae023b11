// Signals: process signals as calls on one loop (the main thread's). SIGPIPE is ignored at construction.
#pragma once

#include <functional>
#include <vector>

struct event;

namespace sluice::event {

class Loop;

class Signals {
 public:
  Signals(Loop& loop, std::move_only_function<void(int signal)> handler);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();
  void watch(int signal);

 private:
  static void on_signal(int, short, void*);
  Loop& loop_;
  std::move_only_function<void(int)> handler_;
  std::vector<::event*> raw_;
};

}  // namespace sluice::event
