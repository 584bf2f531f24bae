// BCOs as objects of the Haskell heap.
//
// Facts: StgBCO, StgArrBytes, StgMutArrPtrs and StgAP of rts/storage/Closures.h, and newBCO# and mkApUpd0# of
// rts/PrimOps.cmm (GHC 9.0.2, 9.6.6 and 9.10.3 agree). This is compiled with the structs of the RTS that it is for. So
// a layout that changes there changes here, too.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bytecode/bco.h"
#include "iserv/interpreter/rts_lock.h"

namespace splicehost::bytecode {

// Finds the closure that a remote reference stands for, among those that resolve() has been told to
// expect: RemoteReference and BreakArray pointers.
using ResolveReference = std::function<StgClosure*(uint64_t reference)>;

// Allocates the BCOs of a verified set and returns the top-level ones, in the set's order. A BCO of
// arity 0 becomes an updatable thunk that evaluates it, so that its value is computed once. The
// addresses are true as long as the lock is held; whoever wants to keep them makes references.
std::vector<StgClosure*> allocateBcos(const RtsLock& lock, const BcoSet& set, const ResolveReference& resolve);

// Allocates a byte array of this size, all zeros.
StgArrBytes* allocateBytes(const RtsLock& lock, size_t size);

}  // namespace splicehost::bytecode
