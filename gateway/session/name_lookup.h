// NameLookup: the addresses of one name, asked for on behalf of one session, which is woken when they are here. Destroying it
// gives the answer up.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "session/front.h"

namespace sluice::session {

class NameLookup {
 public:
  NameLookup(House& house, net::Ready& ready, const std::string& host);
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

  // Null: the Ready will be called. Empty: it has none. Without port; dies with this.
  const std::vector<net::Address>* addresses() const { return answer_->here ? &answer_->addresses : nullptr; }

 private:
  // Outlives the look-up by as long as the resolver takes.
  struct Answer {
    net::Ready* ready = nullptr;
    std::vector<net::Address> addresses;
    bool here = false;
  };
  std::shared_ptr<Answer> answer_ = std::make_shared<Answer>();
};

}  // namespace sluice::session
