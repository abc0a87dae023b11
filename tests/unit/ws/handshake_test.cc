#include "ws/handshake.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/crypto.h"

namespace sluice::ws {
namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
using Views = std::vector<std::string_view>;

// A good handshake; each test spoils one thing of it.
http::Head request() {
  http::Head head;
  head.method = "GET";
  head.target = "/ws";
  head.fields = {{"Host", "gw.test"},
                 {"Connection", "Upgrade"},
                 {"Upgrade", "websocket"},
                 {"Sec-WebSocket-Version", "13"},
                 {"Sec-WebSocket-Key", kKey}};
  return head;
}

http::Head with(http::Head head, std::string_view name, std::string_view value) {
  head.fields.push_back({name, value});
  return head;
}

http::Head without(http::Head head, std::string_view name) {
  std::erase_if(head.fields, [name](const http::Field& field) { return http::same_name(field.name, name); });
  return head;
}

http::Head changed(http::Head head, std::string_view name, std::string_view value) {
  return with(without(std::move(head), name), name, value);
}

Errc refusal(const http::Head& head) {
  const auto offer = read_offer(head);
  if (offer) return Errc::none;
  EXPECT_EQ(offer.error().side, Side::client);
  return offer.error().code;
}

TEST(Handshake, AnswersTheKeyOfTheRfc) { EXPECT_EQ(accept_value(kKey), kAccept); }

TEST(Handshake, MakesADifferentKeyOfSixteenOctetsEachTime) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    const std::string key = fresh_key();
    EXPECT_EQ(key.size(), 24u);
    const auto octets = net::from_base64(key);
    ASSERT_TRUE(octets);
    EXPECT_EQ(octets->size(), 16u);
    EXPECT_EQ(refusal(changed(request(), "Sec-WebSocket-Key", key)), Errc::none);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 100u);
}

TEST(Handshake, RecognisesWhoWantsAWebSocket) {
  EXPECT_TRUE(wants_websocket(request()));
  EXPECT_TRUE(wants_websocket(
      changed(changed(request(), "Upgrade", "WebSocket"), "connection", "keep-alive, uPgRaDe")));
  EXPECT_FALSE(wants_websocket(without(request(), "Connection")));
  EXPECT_FALSE(wants_websocket(without(request(), "Upgrade")));
  EXPECT_FALSE(wants_websocket(changed(request(), "Upgrade", "h2c")));
  EXPECT_FALSE(wants_websocket(changed(request(), "Upgrade", "websocket2")));
  EXPECT_FALSE(wants_websocket(changed(request(), "Connection", "close")));
  http::Head old = request();
  old.minor_version = 0;
  EXPECT_FALSE(wants_websocket(old));
}

TEST(Handshake, ReadsAnOffer) {  // A01
  const auto offer = read_offer(request());
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->key, kKey);
  EXPECT_TRUE(offer->subprotocols.empty());
  EXPECT_TRUE(offer->extensions.empty());
}

TEST(Handshake, RefusesOtherMethodsAndBodies) {
  http::Head post = request();
  post.method = "POST";
  EXPECT_EQ(refusal(post), Errc::method);
  EXPECT_EQ(refusal(with(request(), "Content-Length", "0")), Errc::none);  // A04
  EXPECT_EQ(refusal(with(request(), "Content-Length", "1")), Errc::body_on_upgrade);
  EXPECT_EQ(refusal(with(with(request(), "Content-Length", "0"), "content-length", "5")),
            Errc::body_on_upgrade);
  EXPECT_EQ(refusal(with(request(), "Transfer-Encoding", "chunked")), Errc::body_on_upgrade);  // A05
  EXPECT_EQ(refusal(with(request(), "Transfer-Encoding", "identity")), Errc::body_on_upgrade);
}

TEST(Handshake, RefusesOtherVersions) {  // A02
  for (const std::string_view version : {"7", "8", "14", "25", "013", "13, 8", ""}) {
    EXPECT_EQ(refusal(changed(request(), "Sec-WebSocket-Version", version)), Errc::ws_version) << version;
  }
  EXPECT_EQ(refusal(without(request(), "Sec-WebSocket-Version")), Errc::ws_handshake);
  EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Version", "13")), Errc::ws_handshake);
}

TEST(Handshake, RefusesKeysThatAreNotSixteenOctetsOnce) {  // A03
  for (const std::string_view key :
       {"dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZWE=", "!!!!", "a", "",
        "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZWFh",
        "dGhlIHNhbXBsZSBub25j!Q==", "dGhlIHNhbXBsZSBub25jZ Q="}) {
    EXPECT_EQ(refusal(changed(request(), "Sec-WebSocket-Key", key)), Errc::ws_key) << key;
  }
  EXPECT_EQ(refusal(without(request(), "Sec-WebSocket-Key")), Errc::ws_key);
  EXPECT_EQ(refusal(with(request(), "sec-websocket-key", kKey)), Errc::ws_key);
}

TEST(Handshake, ReadsSubprotocolsInOrderOverSeveralFields) {
  const http::Head head = with(with(request(), "Sec-WebSocket-Protocol", "chat, \t superchat"),
                               "sec-websocket-protocol", "v1.chat");
  EXPECT_EQ(read_offer(head)->subprotocols, (Views{"chat", "superchat", "v1.chat"}));
}

TEST(Handshake, RefusesBrokenSubprotocolLists) {
  for (const std::string_view list :
       {"", ",", "a,", ",a", "a,,b", "a,a", "a b", "a;b", "\"a\"", "a/b", "a, \xC3\xA9"}) {
    EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Protocol", list)), Errc::ws_subprotocol) << list;
  }
  EXPECT_EQ(refusal(with(with(request(), "Sec-WebSocket-Protocol", "a"), "Sec-WebSocket-Protocol", "a")),
            Errc::ws_subprotocol);
  std::string sixteen = "p0";
  for (int i = 1; i < 16; ++i) sixteen += ",p" + std::to_string(i);
  EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Protocol", sixteen)), Errc::none);
  EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Protocol", sixteen + ",p16")), Errc::ws_subprotocol);
  EXPECT_EQ(
      refusal(with(with(request(), "Sec-WebSocket-Protocol", sixteen), "Sec-WebSocket-Protocol", "p16")),
      Errc::ws_subprotocol);
}

TEST(Handshake, ReadsExtensionsWithTheirParameters) {
  const http::Head head = with(with(request(), "Sec-WebSocket-Extensions",
                                    "permessage-deflate ;  client_max_window_bits , x-a; b=\"c\" ;d=e"),
                               "Sec-WebSocket-Extensions", "x-z");
  EXPECT_EQ(read_offer(head)->extensions,
            (Views{"permessage-deflate ;  client_max_window_bits", "x-a; b=\"c\" ;d=e", "x-z"}));
  // A separator inside quotes separates nothing, and what is quoted must be a token (§9.1).
  EXPECT_EQ(read_offer(with(request(), "Sec-WebSocket-Extensions", "x-a; b=\"c\\d\""))->extensions.size(),
            1u);
}

TEST(Handshake, RefusesBrokenExtensionLists) {
  for (const std::string_view list : {"",
                                      ",",
                                      ";",
                                      "a,",
                                      ",a",
                                      "a,,b",
                                      "a;",
                                      "a;;b",
                                      "a; b=",
                                      "a; =b",
                                      "a; b=c d",
                                      "a b",
                                      "a; b=\"c",
                                      "a; b=\"",
                                      "a; b=\"\"",
                                      "a; b=\"c,d\"",
                                      "a; b=\"c d\"",
                                      "a; b=\"c\"d",
                                      "a; b=\"c\\",
                                      "a; b=\"\\\"\"",
                                      "a=b",
                                      "\"a\"",
                                      "a; b = c",
                                      "a\x01"}) {
    EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Extensions", list)), Errc::ws_handshake) << list;
  }
  std::string many = "x0";
  for (int i = 1; i < 16; ++i) many += ", x" + std::to_string(i);
  EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Extensions", many)), Errc::none);
  EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Extensions", many + ", x16")), Errc::ws_handshake);
}

TEST(Handshake, RefusesListsOfSeparatorsOnly) {
  for (const char separator : {',', ';', ' ', '"', '='}) {
    const std::string list(32 * 1024, separator);
    EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Protocol", list)), Errc::ws_subprotocol);
    EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Extensions", list)), Errc::ws_handshake);
    EXPECT_EQ(refusal(with(request(), "Sec-WebSocket-Extensions", "a" + list)),
              separator == ' ' ? Errc::none : Errc::ws_handshake);
  }
}

TEST(Handshake, KnowsDeflateByItsName) {
  EXPECT_TRUE(is_deflate("permessage-deflate"));
  EXPECT_TRUE(is_deflate("permessage-deflate; client_max_window_bits"));
  EXPECT_TRUE(is_deflate("Permessage-Deflate ;x"));
  EXPECT_FALSE(is_deflate("permessage-deflate2"));
  EXPECT_FALSE(is_deflate("x-webkit-deflate-frame"));
  EXPECT_FALSE(is_deflate("x; permessage-deflate"));
  EXPECT_FALSE(is_deflate(""));
}

std::size_t offers_kept(const std::string& parameters) {
  const std::string element = "permessage-deflate" + parameters;
  const http::Head head = with(request(), "Sec-WebSocket-Extensions", element);
  const auto offer = read_offer(head);
  return offer ? offer->extensions.size() : 99;
}

TEST(Handshake, DeclinesDeflateOffersThatRfc7692Forbids) {
  for (const std::string_view good :
       {"", "; server_no_context_takeover", "; client_no_context_takeover", "; client_max_window_bits",
        "; client_max_window_bits=8", "; server_max_window_bits=15; client_max_window_bits=15",
        "; server_max_window_bits=8",
        "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; "
        "client_max_window_bits"}) {
    EXPECT_EQ(offers_kept(std::string(good)), 1u) << good;
  }
  for (const std::string_view bad :
       {"; server_max_window_bits", "; server_max_window_bits=7", "; server_max_window_bits=16",
        "; server_max_window_bits=08", "; server_max_window_bits=\"15\"", "; server_max_window_bits=1",
        "; server_max_window_bits=100", "; client_max_window_bits=7", "; client_max_window_bits=16",
        "; client_max_window_bits=x", "; server_max_window_bits=10; server_max_window_bits=10",
        "; client_max_window_bits; client_max_window_bits=9", "; server_no_context_takeover=1",
        "; server_no_context_takeover; server_no_context_takeover", "; client_no_context_takeover=true",
        "; unknown", "; Server_No_Context_Takeover"}) {
    EXPECT_EQ(offers_kept(std::string(bad)), 0u) << bad;
  }
  const http::Head both = with(request(), "Sec-WebSocket-Extensions",
                               "permessage-deflate; server_max_window_bits=7, permessage-deflate, x-other");
  EXPECT_EQ(read_offer(both)->extensions, (Views{"permessage-deflate", "x-other"}));
}

// ---- the upstream's answer
// -----------------------------------------------------------------------------------------

http::Head answer() {
  http::Head head;
  head.status = 101;
  head.reason = "Switching Protocols";
  head.fields = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Accept", kAccept}};
  return head;
}

bool agrees(const http::Head& head, const Views& subprotocols = {}, const Views& extensions = {}) {
  const auto agreement = check_answer(head, kKey, subprotocols, extensions);
  if (!agreement) {
    EXPECT_EQ(agreement.error().code, Errc::be_bad_101);
    EXPECT_EQ(agreement.error().side, Side::upstream);
  }
  return agreement.has_value();
}

TEST(Answer, IsAcceptedWhenItMatchesWhatWasSent) {
  EXPECT_TRUE(agrees(answer()));
  EXPECT_TRUE(
      agrees(changed(changed(answer(), "Upgrade", "WebSocket"), "Connection", "keep-alive, Upgrade")));
}

TEST(Answer, IsRefusedWithoutWhatRfc6455Requires) {  // A31
  for (const int status : {200, 100, 103, 204, 400, 404, 426, 502}) {
    http::Head head = answer();
    head.status = status;
    EXPECT_FALSE(agrees(head)) << status;
  }
  http::Head old = answer();
  old.minor_version = 0;
  EXPECT_FALSE(agrees(old));
  EXPECT_FALSE(agrees(without(answer(), "Upgrade")));
  EXPECT_FALSE(agrees(changed(answer(), "Upgrade", "h2c")));
  EXPECT_FALSE(agrees(without(answer(), "Connection")));
  EXPECT_FALSE(agrees(changed(answer(), "Connection", "close")));
  EXPECT_FALSE(agrees(without(answer(), "Sec-WebSocket-Accept")));
  EXPECT_FALSE(agrees(with(answer(), "Sec-WebSocket-Accept", kAccept)));
  EXPECT_FALSE(agrees(changed(answer(), "Sec-WebSocket-Accept", kKey)));
  EXPECT_FALSE(agrees(changed(answer(), "Sec-WebSocket-Accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
  EXPECT_FALSE(agrees(changed(answer(), "Sec-WebSocket-Accept", "")));
}

TEST(Answer, NamesAnOfferedSubprotocolOrNone) {
  const Views offered = {"chat", "superchat"};
  EXPECT_TRUE(agrees(answer(), offered));
  const auto agreement =
      check_answer(with(answer(), "Sec-WebSocket-Protocol", "superchat"), kKey, offered, {});
  ASSERT_TRUE(agreement);
  EXPECT_EQ(agreement->subprotocol, "superchat");
  for (const std::string_view wrong : {"other", "", "Chat", "chat, superchat"}) {
    EXPECT_FALSE(agrees(with(answer(), "Sec-WebSocket-Protocol", wrong), offered)) << wrong;
  }
  EXPECT_FALSE(agrees(with(answer(), "Sec-WebSocket-Protocol", "chat")));
  EXPECT_FALSE(agrees(
      with(with(answer(), "Sec-WebSocket-Protocol", "chat"), "Sec-WebSocket-Protocol", "chat"), offered));
}

TEST(Answer, NamesOfferedExtensionsOnly) {  // A32
  const http::Head deflate = with(answer(), "Sec-WebSocket-Extensions", "permessage-deflate");
  EXPECT_FALSE(agrees(deflate));
  EXPECT_FALSE(agrees(deflate, {}, {"x-other"}));
  const auto agreement = check_answer(deflate, kKey, {}, {"permessage-deflate; client_max_window_bits"});
  ASSERT_TRUE(agreement);
  EXPECT_TRUE(agreement->deflate);
  EXPECT_EQ(agreement->extensions, "permessage-deflate");
  EXPECT_FALSE(check_answer(answer(), kKey, {}, {"permessage-deflate"})->deflate);

  const Views two = {"permessage-deflate", "x-other; a"};
  const auto both = check_answer(with(deflate, "sec-websocket-extensions", "x-other; b=1"), kKey, {}, two);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->extensions, "permessage-deflate, x-other; b=1");
  for (const std::string_view wrong :
       {"", "x-third", "permessage-deflate, x-third", "permessage-deflate, permessage-deflate",
        "permessage-deflate;", "permessage-deflate x"}) {
    EXPECT_FALSE(agrees(with(answer(), "Sec-WebSocket-Extensions", wrong), {}, two)) << wrong;
  }
}

bool deflate_agrees(std::string_view granted, const Views& offered) {
  const std::string element = "permessage-deflate" + std::string(granted);
  return agrees(with(answer(), "Sec-WebSocket-Extensions", element), {}, offered);
}

TEST(Answer, GrantsOnlyDeflateParametersThatRfc7692Allows) {
  const Views plain = {"permessage-deflate"};
  EXPECT_TRUE(deflate_agrees("; server_no_context_takeover", plain));
  EXPECT_TRUE(deflate_agrees("; client_no_context_takeover", plain));
  EXPECT_TRUE(deflate_agrees("; server_max_window_bits=8", plain));
  EXPECT_FALSE(
      deflate_agrees("; client_max_window_bits=15", plain));  // the client did not say that it can obey
  for (const std::string_view bad :
       {"; server_max_window_bits", "; server_max_window_bits=7", "; server_max_window_bits=16",
        "; server_max_window_bits=\"15\"", "; server_max_window_bits=9; server_max_window_bits=9",
        "; unknown", "; server_no_context_takeover=1",
        "; client_no_context_takeover; client_no_context_takeover"}) {
    EXPECT_FALSE(deflate_agrees(bad, plain)) << bad;
  }
  const Views hinted = {"permessage-deflate; client_max_window_bits"};
  EXPECT_TRUE(deflate_agrees("; client_max_window_bits=10", hinted));
  EXPECT_FALSE(deflate_agrees("; client_max_window_bits", hinted));
  EXPECT_TRUE(deflate_agrees("", hinted));
  const Views bounded = {"permessage-deflate; server_max_window_bits=10; client_max_window_bits=12"};
  EXPECT_TRUE(deflate_agrees("; server_max_window_bits=10", bounded));
  EXPECT_TRUE(deflate_agrees("; server_max_window_bits=9; client_max_window_bits=12", bounded));
  EXPECT_FALSE(deflate_agrees("; server_max_window_bits=11", bounded));
  EXPECT_FALSE(deflate_agrees("", bounded));
  EXPECT_FALSE(deflate_agrees("; server_max_window_bits=10; client_max_window_bits=13", bounded));
  const Views fresh = {"permessage-deflate; server_no_context_takeover"};
  EXPECT_TRUE(deflate_agrees("; server_no_context_takeover", fresh));
  EXPECT_FALSE(deflate_agrees("", fresh));
  // Of several offers it is enough to answer one.
  EXPECT_TRUE(deflate_agrees("", {"permessage-deflate; server_max_window_bits=10", "permessage-deflate"}));
}

}  // namespace
}  // namespace sluice::ws
