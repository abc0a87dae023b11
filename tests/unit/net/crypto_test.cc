#include "net/crypto.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice::net {
namespace {

std::string hex(Bytes bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t b : bytes) {
    text.push_back(kDigits[b >> 4]);
    text.push_back(kDigits[b & 15]);
  }
  return text;
}

std::string decoded(const std::optional<std::vector<std::uint8_t>>& bytes) {
  return bytes ? std::string(as_text(*bytes)) : "(refused)";
}

TEST(Digests, AgreeWithTheStandardsExamples) {
  EXPECT_EQ(hex(sha1(as_bytes(""))), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex(sha1(as_bytes("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(sha256(as_bytes(""))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digests, CanBeUsedAgainAndFromOtherThreads) {
  const Sha256 first = sha256(as_bytes("one"));
  EXPECT_NE(sha256(as_bytes("two")), first);
  EXPECT_EQ(sha256(as_bytes("one")), first);
  std::thread([&] { EXPECT_EQ(sha256(as_bytes("one")), first); }).join();
}

TEST(Digests, HmacAgreesWithRfc4231) {
  EXPECT_EQ(hex(hmac_sha256(as_bytes(std::string(20, '\x0b')), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(as_bytes(std::string(131, '\xaa')),
                            as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") << "another key before leaves nothing";
}

TEST(Digests, MakeTheAcceptKeyOfRfc6455) {
  EXPECT_EQ(base64(sha1(as_bytes("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(ConstantTime, ComparesWholeContents) {
  EXPECT_TRUE(constant_time_equal({}, {}));
  EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("ab")));
}

TEST(Cleanse, LeavesZeros) {
  std::array<std::uint8_t, 4> secret{1, 2, 3, 4};
  cleanse(secret);
  EXPECT_EQ(secret, (std::array<std::uint8_t, 4>{}));
}

TEST(Base64, AgreesWithRfc4648) {
  const std::pair<const char*, const char*> rows[] = {{"", ""},
                                                      {"f", "Zg=="},
                                                      {"fo", "Zm8="},
                                                      {"foo", "Zm9v"},
                                                      {"foob", "Zm9vYg=="},
                                                      {"fooba", "Zm9vYmE="},
                                                      {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : rows) {
    EXPECT_EQ(base64(as_bytes(plain)), text);
    EXPECT_EQ(decoded(from_base64(text)), plain);
    std::string bare = text;
    while (bare.ends_with('=')) bare.pop_back();
    EXPECT_EQ(base64url(as_bytes(plain)), bare);
    EXPECT_EQ(decoded(from_base64url(bare)), plain);
  }
  EXPECT_EQ(base64(as_bytes("\xfb\xff")), "+/8=");
  EXPECT_EQ(base64url(as_bytes("\xfb\xff")), "-_8");
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z===", "====", "=", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm-_",
                           "Zh==", "Zm9=", "Zm9vY", "Zm\0v"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
  for (const char* text : {"Z", "Zg==", "Zm8=", "Zh", "Zm9", "Zm+/", "Zm9v\r\n", "Zm 9", "Zm9vY", "Z.g"}) {
    EXPECT_FALSE(from_base64url(text)) << text;
  }
}

TEST(Base64, ReturnsEveryOctetValueAtEveryLength) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(base64(bytes)), bytes);
    EXPECT_EQ(from_base64url(base64url(bytes)), bytes);
    bytes.push_back(static_cast<std::uint8_t>(i * 7));
  }
}

}  // namespace
}  // namespace sluice::net
