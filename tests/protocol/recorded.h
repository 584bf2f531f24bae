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
#include "protocol/ghc_versions.h"

namespace splicehost::testing {

// What one side said before the other side spoke.
struct Turn {
  bool fromGhc;
  std::vector<std::byte> bytes;
};

inline std::filesystem::path recordedDirectory(const ghc::Version& version) {
  return std::filesystem::path(SPLICEHOST_RECORDED_TRAFFIC) / version.name;
}

inline std::vector<std::byte> readRecorded(const ghc::Version& version, const std::string& file) {
  std::ifstream in(recordedDirectory(version) / file, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(in), {});
  auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

// A recorded session of a version; the name is without extension.
struct RecordedSession {
  const ghc::Version* version;
  std::string name;
};

inline std::vector<RecordedSession> recordedSessions(const ghc::Version& version) {
  std::vector<RecordedSession> sessions;
  for (const auto& entry : std::filesystem::directory_iterator(recordedDirectory(version))) {
    if (entry.path().extension() == ".turns") {
      sessions.push_back({&version, entry.path().stem().string()});
    }
  }
  std::ranges::sort(sessions, {}, &RecordedSession::name);
  return sessions;
}

// Of all versions.
inline std::vector<RecordedSession> recordedSessions() {
  std::vector<RecordedSession> sessions;
  for (const ghc::Version& version : ghc::versions()) {
    for (RecordedSession& session : recordedSessions(version)) sessions.push_back(std::move(session));
  }
  return sessions;
}

inline std::vector<Turn> readSession(const RecordedSession& session) {
  std::vector<std::byte> file = readRecorded(*session.version, session.name + ".turns");
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
