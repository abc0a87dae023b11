// Exit codes of the program (docs/reference/cli.md). 128 + n: ended at once by signal n.
#pragma once

namespace sluice::server {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitConfig = 2;
inline constexpr int kExitBind = 3;

}  // namespace sluice::server
