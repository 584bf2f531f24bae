// Writes BCOs in GHC's encoding, for tests.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bytecode/bco.h"
#include "bytecode/format.h"

namespace splicehost::bytecode::testing {

using Buffer = std::vector<std::byte>;

// A number as `binary` writes an Int, Word or Word64.
inline void putWord(Buffer& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(value >> shift));
}

// A version as part of a test's name.
inline std::string testName(std::string_view ghc) {
  std::string name = "Ghc";
  for (char c : ghc) name += c == '.' ? '_' : c;
  return name;
}

// The format of a version, which there must be.
inline const BcoFormat& formatOf(std::string_view ghc) {
  const BcoFormat* format = findFormat(ghc);
  if (format == nullptr) std::abort();
  return *format;
}

inline const BcoFormat& kGhc902 = formatOf("9.0.2");
inline const BcoFormat& kGhc966 = formatOf("9.6.6");
inline const BcoFormat& kGhc9103 = formatOf("9.10.3");

template <typename T>
void putArray(Buffer& out, const std::vector<T>& elements, const BcoFormat& format) {
  if (format.arrays == ArrayEncoding::kBounds) {
    putWord(out, 0);
    putWord(out, elements.size() - 1);
  } else {
    putWord(out, elements.size() * sizeof(T));
  }
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
    pointers_.push_back([bco](Buffer& out, const BcoFormat& format) {
      out.push_back(std::byte{3});
      bco.put(out, format);
    });
    return *this;
  }

  void put(Buffer& out, const BcoFormat& format = kGhc902) const {
    out.push_back(static_cast<std::byte>(littleEndian));
    putWord(out, static_cast<uint64_t>(arity));
    putArray(out, instructions, format);
    putArray(out, bitmap, format);
    putArray(out, literals, format);
    putWord(out, pointers_.size());
    putWord(out, pointers_.size());
    for (auto pointer = pointers_.rbegin(); pointer != pointers_.rend(); ++pointer) {
      (*pointer)(out, format);
    }
  }

 private:
  BcoSource& plain(uint8_t tag, uint64_t value) {
    pointers_.push_back([tag, value](Buffer& out, const BcoFormat&) {
      out.push_back(static_cast<std::byte>(tag));
      putWord(out, value);
    });
    return *this;
  }

  std::vector<std::function<void(Buffer&, const BcoFormat&)>> pointers_;
};

// One byte string of a CreateBCOs message.
inline Buffer encode(const std::vector<BcoSource>& bcos, const BcoFormat& format = kGhc902) {
  Buffer out;
  putWord(out, bcos.size());
  for (const BcoSource& bco : bcos) bco.put(out, format);
  return out;
}

}  // namespace splicehost::bytecode::testing
