#include "bytecode/format.h"

#include <array>

namespace splicehost::bytecode {
namespace {

// libraries/ghci/GHCi/ResolvedBCO.hs, GHC 9.0.2.
constexpr std::array kPointerKinds902 = {
    BcoPointer::Kind::BcoOfSet,  BcoPointer::Kind::RemoteReference, BcoPointer::Kind::StaticPointer,
    BcoPointer::Kind::NestedBco, BcoPointer::Kind::BreakArray,
};

}  // namespace

constinit const BcoFormat kGhc902 = {
    .ghc = "9.0.2",
    .littleEndianMark = 1,
    .pointerKinds = kPointerKinds902,
    .instructions = kInstructions902,
};

const BcoFormat* findFormat(std::string_view ghc) {
  for (const BcoFormat* format : {&kGhc902}) {
    if (format->ghc == ghc) return format;
  }
  return nullptr;
}

}  // namespace splicehost::bytecode
