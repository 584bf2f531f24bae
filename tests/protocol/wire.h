// Bytes of GHC's wire, as a person writes them down. Independent of protocol/, which is tested with
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace splicehost::testing {

// Words of a description, separated by spaces: "#12" is the number in 8 bytes, most significant
// first (as is "#-1"), "'abc" is the bytes "abc", anything else is bytes in hexadecimal.
inline std::vector<std::byte> wire(const std::string& description) {
  std::vector<std::byte> bytes;
  std::istringstream words(description);
  for (std::string word; words >> word;) {
    if (word[0] == '#') {
      auto value =
          word[1] == '-' ? static_cast<uint64_t>(std::stoll(word.substr(1))) : std::stoull(word.substr(1), nullptr, 0);
      for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(std::byte(value >> shift));
    } else if (word[0] == '\'') {
      for (char c : std::string_view(word).substr(1)) bytes.push_back(std::byte(c));
    } else {
      if (word.size() % 2 != 0) std::abort();
      for (size_t i = 0; i < word.size(); i += 2) {
        bytes.push_back(std::byte(std::stoul(word.substr(i, 2), nullptr, 16)));
      }
    }
  }
  return bytes;
}

// Bytes in hexadecimal, so that a failed comparison can be read.
inline std::string hex(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte byte : bytes) {
    text += kDigits[std::to_integer<int>(byte) >> 4];
    text += kDigits[std::to_integer<int>(byte) & 15];
  }
  return text;
}

}  // namespace splicehost::testing
