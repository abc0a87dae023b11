// Response heads: the same verdict however they are cut; every error is the backend's.
#include "fuzz/heads.h"
#include "http/forwarded.h"

using namespace sluice;
using namespace sluice::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Answer answer = read_in_all_cuts(text, HeadParser::Kind::response);
  if (!answer.result) {
    check(answer.result.error().code == Errc::be_bad_head && answer.result.error().side == Side::upstream,
          "a backend's error blamed on someone else");
    return 0;
  }
  if (*answer.result == 0) return 0;
  check(answer.head.status >= 100 && answer.head.status <= 599, "a status of no class");
  for (const std::string_view method : {"GET", "HEAD", "CONNECT"}) (void)response_body(answer.head, method);
  const auto passing = passing_response_fields(answer.head);
  if (!passing) return 0;
  for (const Field& field : *passing) {
    for (const std::string_view hop : {"connection", "upgrade", "transfer-encoding", "content-length", "sec-websocket-accept"}) {
      check(!same_name(field.name, hop), "a field of one hop passed");
    }
  }
  return 0;
}
