// What differs between the runtime systems of the GHC versions, as far as an interpreter touches it. An
// interpreter is compiled against the headers of the one that it is linked with; nothing else in its sources
// asks for a version.
#pragma once

#include <ghcversion.h>

#include "iserv/rts_lock.h"

namespace splicehost::rts {

// What a break array holds for each breakpoint (libraries/ghci/GHCi/BreakArray.hs; rts/Interpreter.c, BRK_FUN).
#if __GLASGOW_HASKELL__ >= 902
// How often it is passed before it stops, or that it is off.
using BreakFlag = StgInt;
inline constexpr BreakFlag kBreakOff = -1;
inline constexpr BreakFlag kBreakOn = 0;
#else
using BreakFlag = StgWord8;
inline constexpr BreakFlag kBreakOff = 0;
inline constexpr BreakFlag kBreakOn = 1;
#endif

}  // namespace splicehost::rts
