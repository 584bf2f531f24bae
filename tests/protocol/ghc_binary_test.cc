// Haskell's `binary` encoding: strings above all, which have to survive whatever is in them.

#include "protocol/ghc_binary.h"

#include <gtest/gtest.h>

#include "tests/protocol/wire.h"

namespace splicehost::ghc {
namespace {

using testing::hex;
using testing::wire;

constexpr uint64_t kLimit = 1000;

std::string encoded(std::string_view characters) {
  Writer out;
  out.string(characters);
  return hex(out.bytes());
}

TEST(String, IsCountedInCharacters) {
  EXPECT_EQ(encoded(""), hex(wire("#0")));
  EXPECT_EQ(encoded("abc"), hex(wire("#3 'abc")));
  EXPECT_EQ(encoded("\u03bb\u4e2d\U0001f600"), hex(wire("#3 cebb e4b8ad f09f9880")));
  EXPECT_EQ(encoded(std::string_view("\0\0", 2)), hex(wire("#2 0000")));
  EXPECT_EQ(encoded("\U0010ffff"), hex(wire("#1 f48fbfbf")));
}

TEST(String, KeepsSurrogates) {
  // U+DC80, U+DCFF, U+D800.
  EXPECT_EQ(encoded("\xed\xb2\x80\xed\xb3\xbf\xed\xa0\x80"), hex(wire("#3 edb280 edb3bf eda080")));
}

// Whatever is written, the reader at the other end finds where it ends, and fileName() gives it
// back.
TEST(String, ReplacesWhatIsNoCharacter) {
  for (std::string_view bytes : {"\xff", "caf\xe9", "caf\xe9.so", "\xe4\xb8", "\xe4\xb8/", "\x80\x80", "\xc0\x80",
                                 "\xf5\x80\x80\x80", "\xf0\x9f\x98", "\xcc\xcc\x81"}) {
    Writer out;
    out.string(bytes);
    Reader in(out.bytes(), kLimit);
    std::string read = in.string();
    ASSERT_TRUE(in.ok()) << hex(out.bytes());
    EXPECT_EQ(in.offset(), out.bytes().size()) << hex(out.bytes());
    EXPECT_EQ(fileName(read), bytes) << hex(out.bytes());
  }
  EXPECT_EQ(encoded("\xe9."), hex(wire("#2 edb3a9 '.")));
}

TEST(FileName, UndoesWhatGhcCouldNotDecode) {
  EXPECT_EQ(fileName("/t/caf\xed\xb3\xa9.o"), "/t/caf\xe9.o");
  EXPECT_EQ(fileName("\xed\xb2\x80\xed\xb3\xbf"), "\x80\xff");
}

TEST(FileName, IsUndoneByHaskellString) {
  for (std::string_view bytes :
       {"", "/t/caf\xe9.o", "/\u03bb/\u4e2d", "\xed\xb3\xa9", "\xff\x80", "\xc3\xa9", "\xed"}) {
    EXPECT_EQ(fileName(haskellString(bytes)), bytes);
  }
  EXPECT_EQ(haskellString("/\u03bb/caf\xe9"), "/\u03bb/caf\xed\xb3\xa9");
}

TEST(FileName, LeavesAllElse) {
  for (std::string_view name : {"", "/usr/lib/libm.a", "/\u03bb/\u4e2d/\U0001f600", "\uac00\ud7a3"}) {
    EXPECT_EQ(fileName(name), name);
  }
  // Surrogates that stand for no byte, and a part of one.
  EXPECT_EQ(fileName("\xed\xa0\x80\xed\xbf\xbf"), "\xed\xa0\x80\xed\xbf\xbf");
  EXPECT_EQ(fileName("\xed\xb2"), "\xed\xb2");
}

TEST(Reader, KeepsTheFirstFailure) {
  auto bytes = wire("02 01");
  Reader in(bytes, kLimit);
  EXPECT_FALSE(in.boolean());
  EXPECT_FALSE(in.boolean());
  EXPECT_EQ(in.word(), 0u);
  in.fail("something else");
  EXPECT_TRUE(in.malformed());
  EXPECT_EQ(in.missing(), 0u);
  EXPECT_EQ(in.error().message, "offset 0: no Bool has number 2");
  EXPECT_EQ(in.offset(), 0u);
}

TEST(Reader, DoesNotFailForWhatIsBehindMissingBytes) {
  auto bytes = wire("00000000 000000");
  Reader in(bytes, kLimit);
  EXPECT_EQ(in.word(), 0u);
  EXPECT_EQ(in.missing(), 1u);
  in.fail("a decoder's opinion about zeros");
  EXPECT_FALSE(in.malformed());
  EXPECT_EQ(in.missing(), 1u);
}

TEST(Reader, TakesNumbersMostSignificantByteFirst) {
  auto bytes = wire("0102030405060708 fffffffffffffffe 05");
  Reader in(bytes, kLimit);
  EXPECT_EQ(in.word(), 0x0102030405060708u);
  EXPECT_EQ(in.integer(), -2);
  EXPECT_EQ(in.byte(), 5);
  EXPECT_TRUE(in.ok());
}

}  // namespace
}  // namespace splicehost::ghc
