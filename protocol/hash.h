// The 64-bit FNV-1a hash. It is for where nobody gains by a collision: names, and files that may be torn.
#pragma once

#include <cstdint>
#include <string_view>

namespace splicehost {

class Hash {
 public:
  void add(std::string_view bytes) {
    for (char byte : bytes) value_ = (value_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace splicehost
