// Configuration files: whatever the text, loading ends, says where each fault is, and says the same again; what is accepted
// compiles into a snapshot whose every route can be found.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/check.h"
#include "config/file.h"
#include "config/snapshot.h"

using namespace sluice;
using namespace sluice::config;

namespace {

// Nothing stands in this folder: names of files in it are refused.
constexpr const char* kPath = "/nonexistent/sluice.toml";

void check_diagnostics(const Loaded& loaded, std::string_view text) {
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  for (const Diagnostic& one : loaded.diagnostics) {
    check(!one.message.empty() && one.file == kPath, "a fault of nothing");
    check(one.line <= lines, "a fault behind the end");
    const std::string shown = one.text();
    check(shown.ends_with('\n'), "a diagnostic that does not end its line");
    const auto raw = [](char c) { return c != '\n' && c != '\t' && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f); };
    check(std::ranges::none_of(shown, raw), "a control octet of the file reaches the terminal");
  }
}

// What a route names is routed, there or to a more specific route.
void check_snapshot(Settings settings) {
  Memory memory;
  const Snapshot snapshot(std::move(settings), memory, 1);
  check(snapshot.routes().size() == snapshot.settings().routes.size(), "a route is lost");
  for (const CompiledRoute& route : snapshot.routes()) {
    check(route.settings != nullptr && (route.cluster != nullptr || route.settings->answer), "a route to nowhere");
    std::string host = route.settings->host;
    if (host.starts_with("*.")) host.replace(0, 1, "x");
    std::string path = route.settings->path;
    if (path.ends_with("/*")) path.pop_back();
    for (const CompiledListener& listener : snapshot.listeners()) {
      const std::vector<std::string>& only = route.settings->listeners;
      if (!only.empty() && std::ranges::find(only, listener.settings->name) == only.end()) continue;
      check(snapshot.router().find(listener.settings->name, host, path) >= 0, "a route that nothing finds");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  // Neither this machine's folders nor its environment are what is tested.
  for (const std::string_view other : {"include", "${"}) {
    if (text.find(other) != std::string_view::npos) return 0;
  }
  Loaded first = load_text(text, kPath);
  const Loaded second = load_text(text, kPath);
  check(first.diagnostics.size() == second.diagnostics.size(), "another verdict");
  for (std::size_t i = 0; i < first.diagnostics.size(); ++i) {
    check(first.diagnostics[i].text() == second.diagnostics[i].text(), "another fault");
  }
  check_diagnostics(first, text);
  if (!first.ok()) return 0;
  check(dump(first.settings) == dump(second.settings), "other settings");
  check_snapshot(std::move(first.settings));
  return 0;
}
