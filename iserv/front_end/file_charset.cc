#include "iserv/front_end/file_charset.h"

#include <langinfo.h>
#include <locale.h>

#include <algorithm>
#include <cstdint>

#include "protocol/ghc_binary.h"

namespace splicehost {

namespace {

struct Difference {
  uint8_t byte;
  uint32_t character;
};

// Where ISO-8859-15 is not ISO-8859-1.
constexpr Difference kLatin9[] = {{0xa4, 0x20ac}, {0xa6, 0x0160}, {0xa8, 0x0161}, {0xb4, 0x017d},
                                  {0xb8, 0x017e}, {0xbc, 0x0152}, {0xbd, 0x0153}, {0xbe, 0x0178}};

uint32_t characterOf(FileCharset charset, uint8_t byte) {
  if (charset == FileCharset::kLatin9) {
    for (const Difference& each : kLatin9) {
      if (each.byte == byte) return each.character;
    }
  }
  return byte;
}

// The byte of a character, or -1.
int byteOf(FileCharset charset, uint32_t character) {
  if (charset == FileCharset::kLatin9) {
    for (const Difference& each : kLatin9) {
      if (each.character == character) return each.byte;
    }
  }
  return character <= 0xff && characterOf(charset, static_cast<uint8_t>(character)) == character
             ? static_cast<int>(character)
             : -1;
}

// Takes a character off the beginning of a string of GHC's, which is in UTF-8.
uint32_t takeCharacter(std::string_view& text) {
  auto lead = static_cast<uint8_t>(text[0]);
  size_t length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
  for (size_t i = 1; i < length && i < text.size(); ++i) {
    character = character << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  }
  text.remove_prefix(std::min(length, text.size()));
  return character;
}

}  // namespace

Result<FileCharset> localeCharset() {
  setlocale(LC_CTYPE, "");
  std::string name = nl_langinfo(CODESET);
  setlocale(LC_CTYPE, "C");
  if (name == "UTF-8" || name == "ANSI_X3.4-1968") return FileCharset::kUtf8;
  if (name == "ISO-8859-1") return FileCharset::kLatin1;
  if (name == "ISO-8859-15") return FileCharset::kLatin9;
  return Error{"file names that are not in ASCII cannot be told in the locale's character set, " + name +
               "; use a locale of UTF-8 or ISO-8859-1, such as LC_ALL=C.UTF-8"};
}

Result<std::string> fileNameInUtf8(FileCharset charset, std::string_view haskellString) {
  if (charset == FileCharset::kUtf8) return std::string(haskellString);
  std::string bytes;
  for (std::string_view rest = haskellString; !rest.empty();) {
    uint32_t character = takeCharacter(rest);
    // What GHC could not decode stands for its byte in each character set.
    bool escaped = character >= 0xdc80 && character <= 0xdcff;
    int byte = escaped ? static_cast<int>(character & 0xff) : byteOf(charset, character);
    if (byte < 0) {
      return Error{"the locale's character set has no character " + std::to_string(character) + ", which is in " +
                   std::string(haskellString)};
    }
    bytes.push_back(static_cast<char>(byte));
  }
  return ghc::haskellString(bytes);
}

std::string charactersOf(FileCharset charset, std::string_view bytes) {
  if (charset == FileCharset::kUtf8) return std::string(bytes);
  std::string text;
  for (char each : bytes) {
    uint32_t character = characterOf(charset, static_cast<uint8_t>(each));
    if (character < 0x80) {
      text.push_back(static_cast<char>(character));
    } else if (character < 0x800) {
      text.push_back(static_cast<char>(0xc0 | character >> 6));
      text.push_back(static_cast<char>(0x80 | (character & 0x3f)));
    } else {
      text.push_back(static_cast<char>(0xe0 | character >> 12));
      text.push_back(static_cast<char>(0x80 | (character >> 6 & 0x3f)));
      text.push_back(static_cast<char>(0x80 | (character & 0x3f)));
    }
  }
  return text;
}

}  // namespace splicehost
