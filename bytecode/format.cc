#include "bytecode/format.h"

#include <array>

namespace splicehost::bytecode {
namespace {

// libraries/ghci/GHCi/ResolvedBCO.hs, the same in GHC 9.0.2, 9.6.6 and 9.10.3.
constexpr std::array kPointerKinds902 = {
    BcoPointer::Kind::kBcoOfSet,  BcoPointer::Kind::kRemoteReference, BcoPointer::Kind::kStaticPointer,
    BcoPointer::Kind::kNestedBco, BcoPointer::Kind::kBreakArray,
};

constinit const std::array kFormats = {
    BcoFormat{
        .ghc = "9.0.2",
        .littleEndianMark = 1,
        .arrays = ArrayEncoding::kBounds,
        .pointerKinds = kPointerKinds902,
        .instructions = kInstructions902,
    },
    BcoFormat{
        .ghc = "9.6.6",
        .littleEndianMark = 1,
        .arrays = ArrayEncoding::kBounds,
        .pointerKinds = kPointerKinds902,
        .instructions = kInstructions966,
    },
    BcoFormat{
        .ghc = "9.10.3",
        .littleEndianMark = 1,
        .arrays = ArrayEncoding::kByteCount,
        .pointerKinds = kPointerKinds902,
        .instructions = kInstructions9103,
    },
};

}  // namespace

std::span<const BcoFormat> formats() { return kFormats; }

const BcoFormat* findFormat(std::string_view ghc) {
  for (const BcoFormat& format : kFormats) {
    if (format.ghc == ghc) return &format;
  }
  return nullptr;
}

}  // namespace splicehost::bytecode
