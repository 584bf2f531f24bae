// What differs between GHC versions in how BCOs are encoded and what their instructions mean.
//
// One record per version; the code that decodes, verifies and disassembles takes the record and
// knows no version itself.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "bytecode/bco.h"
#include "bytecode/instruction_set.h"

namespace splicehost::bytecode {

// How the arrays of a BCO are encoded before their elements, which are as in memory.
enum class ArrayEncoding : uint8_t {
  kBounds,     // a UArray Int e: the indices of the first and the last element
  kByteCount,  // a BCOByteArray e: how many bytes it has
};

struct BcoFormat {
  std::string_view ghc;  // the version as `ghc --numeric-version` prints it

  // The byte order field (resolvedBCOIsLE) of a BCO for a little-endian machine. It should be 1 by
  // its name, but GHC's history has commits that compute it the wrong way round.
  uint8_t littleEndianMark;

  ArrayEncoding arrays;

  // The kinds of pointers by their tag: the order of ResolvedBCOPtr's constructors.
  std::span<const BcoPointer::Kind> pointerKinds;

  const InstructionSet& instructions;
};

// All formats.
std::span<const BcoFormat> formats();

// The format of a GHC version, or null if it is not known.
const BcoFormat* findFormat(std::string_view ghc);

}  // namespace splicehost::bytecode
