// What differs between the runtime systems of the GHC versions, as far as an interpreter touches it. An
// interpreter is compiled against the headers of the one that it is linked with; nothing else in its sources
// asks for a version.
#pragma once

#include <ghcversion.h>

#include "iserv/interpreter/rts_lock.h"

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

// Note [Section memory]. The RTS linker gives each object allocators of pages below 2 GB. That of GHC 9.0 maps 32 pages
// for each, twice for an object, and writes to all of them (rts/linker/M32Alloc.c, m32_allocator_new). That is a
// quarter of a megabyte for each member of an archive. Some four thousand modules use up the 1 GB of addresses, and the
// process is ended. GHC 9.2 takes pages when they are needed (9.2.1). iserv/interpreter/section_memory.cc does that for
// GHC 9.0.
#if __GLASGOW_HASKELL__ < 902
#define SPLICEHOST_OWN_SECTION_MEMORY
#endif

// Note [Section indices]. The RTS linker looks in each object that it links for a table that only objects of more than
// 65279 sections have (rts/linker/Elf.c, get_shndx_table). It remembers where the table is, but not that there is none.
// So it reads all section headers for each section that has relocations. Where each function's code is in a section of
// its own, as in Debian's GHC 9.10, that takes longer than all the rest of linking. After an object has been loaded the
// RTS knows a table if there is one. Of the others this writes down that they have none.
#if __GLASGOW_HASKELL__ >= 910
inline constexpr size_t kNextLoadedObject = 144;  // offsets in an ObjectCode (rts/LinkerInternals.h), 64 bits
inline constexpr size_t kSectionIndices = 272;
#elif __GLASGOW_HASKELL__ >= 906
inline constexpr size_t kNextLoadedObject = 144;
inline constexpr size_t kSectionIndices = 248;
#endif
#if __GLASGOW_HASKELL__ >= 906
extern "C" {
// Of rts/CheckUnload.c and rts/linker/Elf.c. Weak, since a shared RTS keeps them to itself.
extern char* loaded_objects __attribute__((weak));
extern StgWord32 shndx_table_uninit_label __attribute__((weak));
}

inline void settleSectionIndices(const RtsLock&) {
  if (&loaded_objects == nullptr || &shndx_table_uninit_label == nullptr) return;
  // The newest objects come first.
  for (char* object = loaded_objects; object != nullptr;
       object = *reinterpret_cast<char**>(object + kNextLoadedObject)) {
    auto& table = *reinterpret_cast<StgWord32**>(object + kSectionIndices);
    if (table == nullptr) break;
    if (table == &shndx_table_uninit_label) table = nullptr;
  }
}
#else
// GHC 9.0 remembers nothing.
inline void settleSectionIndices(const RtsLock&) {}
#endif

}  // namespace splicehost::rts
