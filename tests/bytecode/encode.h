// Writes BCOs in GHC's encoding, for tests.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "bytecode/bco.h"

namespace splicehost::bytecode::testing {

using Buffer = std::vector<std::byte>;

// A number as `binary` writes an Int, Word or Word64.
inline void putWord(Buffer& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::byte>(value >> shift));
}

template <typename T>
void putArray(Buffer& out, const std::vector<T>& elements) {
  putWord(out, 0);
  putWord(out, elements.size() - 1);
  const auto* bytes = reinterpret_cast<const std::byte*>(elements.data());
  out.insert(out.end(), bytes, bytes + elements.size() * sizeof(T));
}

// A BCO to be encoded. Its pointers are added with the functions named for their kinds, in the
// order the RTS numbers them.
class BcoSource {
 public:
  int64_t arity = 0;
  std::vector<uint16_t> instructions;
  std::vector<uint64_t> bitmap = {0};
  std::vector<uint64_t> literals;
  bool littleEndian = std::endian::native == std::endian::little;

  BcoSource& bcoOfSet(uint64_t number) { return plain(0, number); }
  BcoSource& remote(uint64_t reference) { return plain(1, reference); }
  BcoSource& staticClosure(uint64_t address) { return plain(2, address); }
  BcoSource& breakArray(uint64_t reference) { return plain(4, reference); }
  BcoSource& nested(const BcoSource& bco) {
    Buffer pointer{std::byte{3}};
    bco.put(pointer);
    pointers_.push_back(std::move(pointer));
    return *this;
  }

  void put(Buffer& out) const {
    out.push_back(static_cast<std::byte>(littleEndian));
    putWord(out, static_cast<uint64_t>(arity));
    putArray(out, instructions);
    putArray(out, bitmap);
    putArray(out, literals);
    putWord(out, pointers_.size());
    putWord(out, pointers_.size());
    for (auto pointer = pointers_.rbegin(); pointer != pointers_.rend(); ++pointer) {
      out.insert(out.end(), pointer->begin(), pointer->end());
    }
  }

 private:
  BcoSource& plain(uint8_t tag, uint64_t value) {
    Buffer pointer{static_cast<std::byte>(tag)};
    putWord(pointer, value);
    pointers_.push_back(std::move(pointer));
    return *this;
  }

  std::vector<Buffer> pointers_;
};

// One byte string of a CreateBCOs message.
inline Buffer encode(const std::vector<BcoSource>& bcos) {
  Buffer out;
  putWord(out, bcos.size());
  for (const BcoSource& bco : bcos) bco.put(out);
  return out;
}

}  // namespace splicehost::bytecode::testing
