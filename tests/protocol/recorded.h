// What is in recorded/ (see recorded/README.md).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "protocol/ghc_binary.h"

namespace splicehost::testing {

// What one side said before the other side spoke.
struct Turn {
  bool fromGhc;
  std::vector<std::byte> bytes;
};

inline std::vector<std::byte> readRecorded(const std::string& file) {
  std::ifstream in(std::filesystem::path(SPLICEHOST_RECORDED_TRAFFIC) / file, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(in), {});
  auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

// The names of the recorded sessions, without extension.
inline std::vector<std::string> recordedSessions() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(SPLICEHOST_RECORDED_TRAFFIC)) {
    if (entry.path().extension() == ".turns") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline std::vector<Turn> readSession(const std::string& name) {
  std::vector<std::byte> file = readRecorded(name + ".turns");
  std::vector<Turn> turns;
  for (size_t at = 0; at + 5 <= file.size();) {
    size_t length = 0;
    for (size_t i = 1; i < 5; ++i) length = length << 8 | std::to_integer<size_t>(file[at + i]);
    auto begin = file.begin() + static_cast<ptrdiff_t>(at + 5);
    turns.push_back({file[at] == std::byte{'>'}, {begin, begin + static_cast<ptrdiff_t>(length)}});
    at += 5 + length;
  }
  return turns;
}

}  // namespace splicehost::testing
