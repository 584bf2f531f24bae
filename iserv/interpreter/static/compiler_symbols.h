// What compilers refer to without being told, and no shared library offers. Those are the functions of libgcc, such as
// __divti3 for a division of 128-bit numbers, and of the C library's static part, such as pthread_atfork.
//
// A static linker takes them from archives behind all else. GHC's RTS linker knows the system's shared libraries
// only, so an archive of C code that needs one could not be linked. The static interpreters hold all of them, and
// the table is made from the archives of the compiler that builds the interpreter (ways/interpreters). In the
// dynamic way GHC has gcc link such archives.
#pragma once

namespace splicehost::linker {

// The address of such a symbol, or null. It comes last, after all that is loaded: a library can have its own.
void* compilerSymbol(const char* name);

}  // namespace splicehost::linker
