// Names for addresses of compiled Haskell code, for backtraces.
#pragma once

#include <cstddef>

namespace splicehost::linker {

// Writes the name of the Haskell code at `address` into `name`, such as "base_GHC.List_badHead + 16", and returns true;
// false if there is none. Finds code of the program and of shared objects (in the system linker's tables) and code that
// the RTS linker has loaded. That one's table is read without its lock: for a process that is about to end.
bool haskellName(const void* address, char* name, size_t size);

// The same for C code: the symbol as it is.
bool symbolName(const void* address, char* name, size_t size);

}  // namespace splicehost::linker
