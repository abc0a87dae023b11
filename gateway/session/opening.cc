#include "session/opening.h"

#include "session/authentication.h"
#include "session/endpoint.h"
#include "session/first_message.h"

#include <algorithm>

namespace sluice::session {

Opening::Opening() = default;
Opening::~Opening() = default;

void Opening::keep_head(Bytes received) {
  const std::string_view before = as_text(received.first(head_size));
  head_text = before;
  const auto moved = [&](std::string_view& view) {
    if (view.data() != nullptr) view = {head_text.data() + (view.data() - before.data()), view.size()};
  };
  moved(head.method);
  moved(head.target);
  for (http::Field& field : head.fields) {
    moved(field.name);
    moved(field.value);
  }
}

// RFC 9112 §9.3.
bool Opening::persistent() const {
  if (last_request) return false;
  return head.minor_version == 1 ? !head.lists("Connection", "close") : head.lists("Connection", "keep-alive");
}

void Record::keep(const Words& words) {
  constexpr std::size_t kMost = 4096;  // of one word: what the log would cut anyway
  const std::array<std::string_view, kWords> all{words.id, words.client, words.path, words.subject, words.subprotocol};
  std::size_t total = 0;
  for (const std::string_view one : all) total += std::min(one.size(), kMost);
  text_ = std::make_unique<char[]>(total);
  std::size_t end = 0;
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::string_view one = all[i].substr(0, kMost);
    std::ranges::copy(one, text_.get() + end);
    end += one.size();
    ends_[i] = static_cast<std::uint16_t>(end);
  }
}

std::string_view Record::word(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
  return {text_.get() + begin, ends_[index] - begin};
}

}  // namespace sluice::session
