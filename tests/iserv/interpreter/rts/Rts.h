// What the units that are tested here name of GHC's RTS. Those that use more of it are tested with a GHC.
#pragma once

#include <stdint.h>

typedef uintptr_t StgWord;
typedef intptr_t StgInt;
typedef uint8_t StgWord8;
typedef uint32_t StgWord32;
struct StgFunTable {};
struct StgRegTable {};
struct Capability;

extern "C" Capability* rts_lock();
extern "C" void rts_unlock(Capability* capability);
