#include "base/hex.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Hex, WritesEveryOctetAndReadsItBack) {
  std::string octets;
  for (int i = 0; i < 256; ++i) octets.push_back(static_cast<char>(i));
  const std::string text = to_hex(as_bytes(octets));
  EXPECT_EQ(text.size(), 512u);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(text.substr(504), "fcfdfeff");
  EXPECT_EQ(from_hex(text), octets);
  EXPECT_EQ(to_hex({}), "");
  EXPECT_EQ(from_hex(""), "");
}

TEST(Hex, ReadsDigitsOfEitherCase) { EXPECT_EQ(from_hex("aAfF09"), "\xaa\xff\x09"); }

TEST(Hex, RefusesAnythingElse) {
  for (const char* text : {"0", "000", "0g", "g0", "0x", " 0", "0 ", "0\n", "-1", "@0", "`0", "G0", "0:", "0/"}) {
    EXPECT_FALSE(from_hex(text)) << text;
  }
  // Digits stay digits only without another bit: 0x10 | 0x20 is '0'.
  EXPECT_FALSE(from_hex(std::string_view("\x10\x11", 2)));
  EXPECT_FALSE(from_hex("\xb0\xe1"));
}

}  // namespace
}  // namespace sluice
