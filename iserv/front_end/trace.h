// The trace of messages that `-v` asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace splicehost {

// A message that goes in a direction: "->" from GHC, "<-" to it.
inline void trace(const char* direction, const std::string& text, size_t size) {
  std::fprintf(stderr, "[iserv] %s %8zu bytes  %s\n", direction, size, text.c_str());
}

// What is in a message, on lines of their own.
inline void traceText(const std::string& lines) { std::fputs(lines.c_str(), stderr); }

inline void traceDuration(uint64_t nanoseconds) {
  std::fprintf(stderr, "[iserv] %6.3f ms\n", static_cast<double>(nanoseconds) / 1e6);
}

}  // namespace splicehost
