// Whether decoded BCOs can be given to the RTS.
//
// The RTS trusts BCOs. A bad one has a literal or pointer index out of range, a jump into the middle of an instruction
// or a bitmap that is too short. With it the interpreter or the garbage collector reads and writes memory that is not
// theirs, at some later time. GHC does not produce such BCOs, so what fails here is damaged, or made by a GHC of
// another version or by something that is no GHC.
//
// Not checked are stack offsets and depth, break indices, and whether addresses and references lead to what they
// should: the BCO alone does not tell.
#pragma once

#include "bytecode/bco.h"
#include "bytecode/format.h"
#include "protocol/result.h"

namespace splicehost::bytecode {

// Checks every BCO of a set that decodeBcos() made with this format:
//
// - The instructions are all known and end where the stream ends. The last one leaves the BCO or jumps, so that nothing
//   runs beyond the end.
// - Literal and pointer operands are in range. A pointer is of a kind that the instruction can take: the RTS uses a
//   continuation and a break array without looking at what they are.
// - Addresses that the RTS follows (static closures, info tables, foreign calls, module names) are not null.
// - Unboxed tuples are not larger than the RTS has stack frames for.
// - Jumps go to the first halfword of an instruction.
// - The bitmap has as many words as its size says. Arity and sizes fit the 32 bits that StgBCO, StgAP and StgPAP have
//   for them (rts/storage/Closures.h).
// - References to BCOs of the set are to such as exist.
// - A top-level BCO of arity 0 has an empty bitmap: it becomes the function of an updatable AP without payload
//   (libraries/ghci/GHCi/CreateBCO.hs).
//
// An error names the BCO (see BcoNames), the halfword of the instruction, and what does not fit:
// "BCO 3, instruction 12 (PUSH_G): pointer 9 of 4". Takes time linear in the size of the set.
Status verify(const BcoSet& set, const BcoFormat& format);

}  // namespace splicehost::bytecode
