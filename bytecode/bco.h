// BCOs as GHC sends them: decoding the payload of a CreateBCOs message.
//
// A BCO (byte code object) is what GHC compiles an interpreted function, thunk or case continuation to. It has
// instructions, a bitmap, literals (words that are no pointers) and pointers. The bitmap tells the garbage collector
// which words of its arguments or frame are pointers. When GHC links byte code for an external interpreter it sends one
// CreateBCOs message, a list of byte strings. Each is the Haskell `binary` encoding of a list of ResolvedBCO. Their
// concatenation is one set: the BCOs in it refer to each other by their number in it. A BCO's pointers can hold further
// BCOs, nested to any depth: each bind of an interpreted do block nests one deeper.
//
// Decoding makes no copy of instructions, bitmaps and literals, and does not recurse. A set is three flat vectors, with
// every nested BCO before the one that holds it. It checks the encoding only; verify.h checks that what was decoded
// makes sense to the RTS.
//
// Source of the encoding: libraries/ghci/GHCi/{ResolvedBCO,BinaryArray,CreateBCO}.hs and SizedSeq.hs
// (libraries/ghci of GHC 9.0.2, libraries/ghc-boot/GHC/Data of 9.6.6 and 9.10.3), and the `binary`
// package's instances. What differs between versions is in format.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "protocol/result.h"

namespace splicehost::bytecode {

struct BcoFormat;

using Bytes = std::span<const std::byte>;

// One entry of a BCO's pointers (ResolvedBCOPtr).
struct BcoPointer {
  enum class Kind : uint8_t {
    kBcoOfSet,         // a top-level BCO of this set, which may come later; value: its number
    kRemoteReference,  // an object that the interpreter made earlier; value: the RemoteRef
    kStaticPointer,    // a static closure; value: its address in the interpreter
    kNestedBco,        // a BCO that only this one refers to; value: its index in BcoSet::bcos
    kBreakArray,       // the break array of a module; value: the RemoteRef of the BreakArray
  };

  Kind kind;
  uint64_t value;
};

// One BCO. The bytes are the caller's input, in the host's byte order, and may be unaligned.
struct Bco {
  int64_t arity;
  Bytes instructions;  // halfwords of 16 bits; a multiple of 2 bytes
  Bytes bitmap;        // words: an StgLargeBitmap, its size first; a multiple of 8 bytes
  Bytes literals;      // words; a multiple of 8 bytes
  uint32_t firstPointer;
  uint32_t pointerCount;

  size_t instructionHalfwords() const { return instructions.size() / sizeof(uint16_t); }
  size_t bitmapWords() const { return bitmap.size() / sizeof(uint64_t); }
  size_t literalWords() const { return literals.size() / sizeof(uint64_t); }
};

// The BCOs of one CreateBCOs message. A value that borrows the bytes it was decoded from.
struct BcoSet {
  // Every BCO, nested ones before the one that holds them, so that allocating them in this order
  // needs no recursion.
  std::vector<Bco> bcos;
  // The pointers of all of them, those of one BCO together and in the order the RTS numbers them.
  std::vector<BcoPointer> pointers;
  // Where in `bcos` the top-level BCOs are, ascending: BCO number i of the set is
  // bcos[topLevel[i]], and the answer to CreateBCOs lists one reference for each.
  std::vector<uint32_t> topLevel;

  std::span<const BcoPointer> pointersOf(const Bco& bco) const {
    return std::span(pointers).subspan(bco.firstPointer, bco.pointerCount);
  }
};

// Element `index` of an array of T in possibly unaligned bytes. The caller has checked the index.
template <typename T>
T loadElement(Bytes bytes, size_t index) {
  T element;
  std::memcpy(&element, bytes.data() + index * sizeof(T), sizeof(T));
  return element;
}

// Decodes the byte strings of one CreateBCOs message, each without its length. The result points
// into them: they must outlive it.
//
// Fails on anything that GHC's encoder of this format does not produce: input that is cut off or too long, an unknown
// kind of pointer, an array that does not start at index 0, a BCO for another byte order. Takes time and memory
// proportional to the input, whatever the input says. The largest input is 4 GiB, so 32 bits are enough for every
// number in a set.
Result<BcoSet> decodeBcos(std::span<const Bytes> chunks, const BcoFormat& format);

// What to call a BCO to a person. A top-level one is "BCO 3". Its second pointer's first pointer is "BCO 3, pointer 1,
// pointer 0". Of a deep path the middle is left out. Keeps a reference to the set.
class BcoNames {
 public:
  explicit BcoNames(const BcoSet& set);

  // The name of set.bcos[index].
  std::string of(uint32_t index) const;

 private:
  struct Holder {
    uint32_t bco;
    uint32_t pointer;
  };

  const BcoSet& set_;
  std::vector<Holder> holders_;  // by index in set.bcos; unused for top-level ones
};

}  // namespace splicehost::bytecode
