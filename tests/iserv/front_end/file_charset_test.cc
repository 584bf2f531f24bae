#include "iserv/front_end/file_charset.h"

#include <gtest/gtest.h>

#include "protocol/ghc_binary.h"
#include "tests/iserv/environment.h"

namespace splicehost {
namespace {

// The bytes that a name of GHC's stands for.
std::string bytesOf(FileCharset charset, std::string_view name) {
  Result<std::string> inUtf8 = fileNameInUtf8(charset, name);
  return inUtf8 ? ghc::fileName(*inUtf8) : inUtf8.error().message;
}

TEST(FileCharset, GivesEachByteBack) {
  for (FileCharset charset : {FileCharset::kLatin1, FileCharset::kLatin9}) {
    std::string bytes;
    for (int byte = 1; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
    EXPECT_EQ(bytesOf(charset, charactersOf(charset, bytes)), bytes);
  }
}

TEST(FileCharset, KnowsTheCharacters) {
  EXPECT_EQ(bytesOf(FileCharset::kLatin1, "/caf\u00e9/\u00ed\u00b2\u00a9\u00a4"), "/caf\xe9/\xed\xb2\xa9\xa4");
  EXPECT_EQ(bytesOf(FileCharset::kLatin9, "/caf\u00e9/\u20ac\u0178"), "/caf\xe9/\xa4\xbe");
  EXPECT_EQ(bytesOf(FileCharset::kUtf8, "/caf\u00e9/\xed\xb3\xa9"), "/caf\u00e9/\xe9");
  EXPECT_EQ(charactersOf(FileCharset::kLatin9, "\xe9\xa4"), "\u00e9\u20ac");
}

TEST(FileCharset, RefusesWhatItHasNot) {
  EXPECT_FALSE(fileNameInUtf8(FileCharset::kLatin1, "/\u20ac").ok());
  EXPECT_FALSE(fileNameInUtf8(FileCharset::kLatin9, "/\u00a4").ok());
}

TEST(FileCharset, OfALocaleThatIsNotThereIsThatOfC) {
  testing::Environment environment;
  environment.set("LC_ALL", "xx_XX.KOI8-R");
  Result<FileCharset> charset = localeCharset();
  ASSERT_TRUE(charset.ok());
  EXPECT_EQ(*charset, FileCharset::kUtf8);
}

}  // namespace
}  // namespace splicehost
