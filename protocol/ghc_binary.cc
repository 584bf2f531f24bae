#include "protocol/ghc_binary.h"

#include <array>
#include <cstring>

namespace splicehost::ghc {

namespace {

// Bytes of the UTF-8 encoding that starts with `lead`, or 0 if none does.
size_t encodedLength(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

bool isContinuation(uint8_t byte) { return (byte & 0xc0) == 0x80; }

// Bytes of the character at the beginning of `bytes`, which are not empty, or 0 if there is none.
size_t characterLength(std::string_view bytes) {
  size_t length = encodedLength(static_cast<uint8_t>(bytes[0]));
  if (length > bytes.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!isContinuation(static_cast<uint8_t>(bytes[i]))) return 0;
  }
  return length;
}

}  // namespace

bool Reader::have(uint64_t count) {
  if (state_ != State::kOk) return false;
  uint64_t available = bytes_.size() - offset_;
  if (count <= available) return true;
  if (count > limit_ || offset_ + count > limit_) {
    fail("the message would be longer than " + std::to_string(limit_) + " bytes");
    return false;
  }
  state_ = State::kNeedMore;
  missing_ = count - available;
  return false;
}

void Reader::fail(std::string message) {
  if (state_ != State::kOk) return;
  state_ = State::kMalformed;
  error_ = Error{"offset " + std::to_string(offset_) + ": " + std::move(message)};
}

uint8_t Reader::byte() {
  if (!have(1)) return 0;
  return std::to_integer<uint8_t>(bytes_[offset_++]);
}

bool Reader::boolean() { return constructor(2, "Bool") == 1; }

uint64_t Reader::word() {
  if (!have(8)) return 0;
  uint64_t value;
  std::memcpy(&value, bytes_.data() + offset_, 8);
  offset_ += 8;
  return __builtin_bswap64(value);
}

uint8_t Reader::constructor(uint8_t count, const char* what) {
  if (!have(1)) return 0;
  uint8_t value = std::to_integer<uint8_t>(bytes_[offset_]);
  if (value >= count) {
    fail(std::string("no ") + what + " has number " + std::to_string(value));
    return 0;
  }
  ++offset_;
  return value;
}

uint32_t Reader::listLength(uint64_t minimumSize) {
  if (!have(8)) return 0;
  uint64_t length = word();
  // Also keeps the multiplication below from overflowing, and the result within 32 bits.
  if (length > limit_ / minimumSize) {
    offset_ -= 8;
    fail("a list of " + std::to_string(length) + " elements, more than a message can hold");
    return 0;
  }
  if (!have(length * minimumSize)) return 0;
  return static_cast<uint32_t>(length);
}

std::string Reader::string() {
  uint32_t characters = listLength(1);
  size_t start = offset_;
  for (uint32_t left = characters; left > 0; --left) {
    if (!have(left)) break;
    size_t length = encodedLength(std::to_integer<uint8_t>(bytes_[offset_]));
    if (length == 0) {
      fail("byte " + std::to_string(std::to_integer<uint8_t>(bytes_[offset_])) + " does not begin a character");
      break;
    }
    if (!have(length + (left - 1))) break;
    for (size_t i = 1; i < length; ++i) {
      if (!isContinuation(std::to_integer<uint8_t>(bytes_[offset_ + i]))) {
        fail("a character is cut short");
        break;
      }
    }
    if (!ok()) break;
    offset_ += length;
  }
  if (!ok()) return {};
  return {reinterpret_cast<const char*>(bytes_.data()) + start, offset_ - start};
}

Bytes Reader::byteString() {
  uint32_t length = listLength(1);
  if (!ok()) return {};
  Bytes result = bytes_.subspan(offset_, length);
  offset_ += length;
  return result;
}

void Writer::word(uint64_t value) {
  uint64_t swapped = __builtin_bswap64(value);
  raw(std::as_bytes(std::span(&swapped, 1)));
}

namespace {

// U+DC80 to U+DCFF, which are ED B2 80 to ED B3 BF.
std::array<uint8_t, 3> strayCharacter(char byte) {
  auto stray = static_cast<uint8_t>(byte);
  return {0xed, static_cast<uint8_t>(0xb0 | stray >> 6), static_cast<uint8_t>(0x80 | (stray & 0x3f))};
}

}  // namespace

void Writer::string(std::string_view characters) {
  size_t lengthAt = bytes_.size();
  word(0);
  uint64_t count = 0;
  for (; !characters.empty(); ++count) {
    size_t length = characterLength(characters);
    if (length > 0) {
      raw(std::as_bytes(std::span(characters.substr(0, length))));
      characters.remove_prefix(length);
    } else {
      for (uint8_t each : strayCharacter(characters[0])) byte(each);
      characters.remove_prefix(1);
    }
  }
  uint64_t swapped = __builtin_bswap64(count);
  std::memcpy(bytes_.data() + lengthAt, &swapped, sizeof swapped);
}

void Writer::byteString(Bytes bytes) {
  word(bytes.size());
  raw(bytes);
}

std::string haskellString(std::string_view fileName) {
  std::string characters;
  while (!fileName.empty()) {
    size_t length = characterLength(fileName);
    bool surrogate = length == 3 && fileName.starts_with('\xed') && static_cast<uint8_t>(fileName[1]) >= 0xa0;
    if (length > 0 && !surrogate) {
      characters.append(fileName, 0, length);
      fileName.remove_prefix(length);
    } else {
      for (uint8_t each : strayCharacter(fileName[0])) characters.push_back(static_cast<char>(each));
      fileName.remove_prefix(1);
    }
  }
  return characters;
}

std::string fileName(std::string_view haskellString) {
  std::string name;
  name.reserve(haskellString.size());
  for (size_t i = 0; i < haskellString.size(); ++i) {
    // U+DC80 to U+DCFF are ED B2 80 to ED B3 BF.
    auto at = [&](size_t k) { return static_cast<uint8_t>(haskellString[i + k]); };
    if (i + 2 < haskellString.size() && at(0) == 0xed && (at(1) == 0xb2 || at(1) == 0xb3)) {
      name.push_back(static_cast<char>(((at(1) & 0x03) << 6) | (at(2) & 0x3f)));
      i += 2;
    } else {
      name.push_back(haskellString[i]);
    }
  }
  return name;
}

}  // namespace splicehost::ghc
