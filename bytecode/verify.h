// Whether decoded BCOs can be given to the RTS.
//
// The RTS trusts BCOs: a literal or pointer index that is out of range, a jump into the middle of
// an instruction or a bitmap that is too short makes the interpreter or the garbage collector read
// and write memory that is not theirs, at some later time. GHC does not produce such BCOs, so what
// fails here is damaged, or made by a GHC of another version or by something that is no GHC.
//
// What is not checked, since the BCO alone does not tell: stack offsets and depth, break indices,
// and whether addresses and references lead to what they should.
#pragma once

#include "bytecode/bco.h"
#include "bytecode/format.h"
#include "protocol/result.h"

namespace splicehost::bytecode {

// Checks every BCO of a set that decodeBcos() made with this format:
//
// - the instructions are all known, end where the stream ends, and the last one leaves the BCO or
//   jumps, so that nothing runs beyond the end;
// - literal and pointer operands are in range, and a pointer is of a kind that the instruction can
//   take: the RTS uses a continuation and a break array without looking at what they are;
// - addresses that the RTS follows (static closures, info tables, foreign calls, module names) are
//   not null;
// - unboxed tuples are not larger than the RTS has stack frames for;
// - jumps go to the first halfword of an instruction;
// - the bitmap has as many words as its size says, and arity and sizes fit the 32 bits that StgBCO,
//   StgAP and StgPAP have for them (rts/storage/Closures.h);
// - references to BCOs of the set are to such as exist;
// - a top-level BCO of arity 0, which becomes the function of an updatable AP without payload
//   (libraries/ghci/GHCi/CreateBCO.hs), has an empty bitmap.
//
// An error names the BCO (see BcoNames), the halfword of the instruction, and what does not fit:
// "BCO 3, instruction 12 (PUSH_G): pointer 9 of 4". Takes time linear in the size of the set.
Status verify(const BcoSet& set, const BcoFormat& format);

}  // namespace splicehost::bytecode
