// Splits a recorded CreateBCOs message (see recorded/README.md) into its byte strings.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bytecode/bco.h"

namespace splicehost::bytecode::testing {

// The byte strings, as parts of the message, or nothing if it is no list of byte strings.
inline std::optional<std::vector<Bytes>> splitMessage(Bytes message) {
  auto takeWord = [&message](uint64_t& value) {
    if (message.size() < 8) return false;
    value = 0;
    for (std::byte byte : message.first(8)) value = value << 8 | std::to_integer<uint64_t>(byte);
    message = message.subspan(8);
    return true;
  };
  uint64_t count = 0;
  if (!takeWord(count)) return std::nullopt;
  std::vector<Bytes> strings;
  for (; count > 0; --count) {
    uint64_t size = 0;
    if (!takeWord(size) || size > message.size()) return std::nullopt;
    strings.push_back(message.first(size));
    message = message.subspan(size);
  }
  if (!message.empty()) return std::nullopt;
  return strings;
}

}  // namespace splicehost::bytecode::testing
