// Checker: what a listener answers itself: the redirect to https and ACME challenges.
#include <fmt/format.h>
#include <sys/stat.h>

#include "config/check.h"

namespace sluice::config {

void Checker::plain_http(const Section& section, ListenerSettings& out) {
  if (section.good("acme_folder")) {
    out.acme_folder = resolve({section.text("acme_folder"), section.place("acme_folder")});
    struct stat facts{};
    if (::stat(out.acme_folder.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode)) {
      reporter_.warning(section.place("acme_folder"), fmt::format("{} is no folder", shown(out.acme_folder)),
                        "until there is one, challenges are answered by 404");
    }
  }
  const bool redirects = section.text("redirect") == "https";
  if (!redirects) {
    if (section.has("redirect_port") && !section.refused("redirect")) {
      error(section.place("redirect_port"), "'redirect_port' needs redirect = \"https\"");
    }
  } else if (section.has("tls")) {
    error(section.place("redirect"), "'redirect' is for plain listeners", "this one speaks TLS already");
  } else if (section.has("redirect_port")) {
    out.redirect_port = static_cast<std::uint16_t>(section.number("redirect_port"));
  } else {
    redirects_.emplace_back(settings_.listeners.size(), section.place("redirect"));
  }
}

// The port of the only listener with TLS that speaks HTTP; of several, 443 when one has it.
void Checker::redirects() {
  for (const auto& [index, place] : redirects_) {
    std::uint16_t port = 0;
    std::size_t found = 0;
    for (const ListenerSettings& listener : settings_.listeners) {
      if (!listener.tls || listener.bind.empty() || !listener.backend.empty()) continue;
      ++found;
      if (port != 443) port = listener.bind.port();
    }
    if (found > 1 && port != 443) port = 0;
    settings_.listeners[index].redirect_port = port;
    if (port != 0) continue;
    error(place, found == 0   ? "there is no listener with TLS to redirect to"
                 : found == 1 ? "the listener with TLS has no port of its own to redirect to"
                              : "there are several listeners with TLS to redirect to",
          "set redirect_port");
  }
}

}  // namespace sluice::config
