#include "iserv/interpreter/static/compiler_symbols.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>

namespace splicehost::linker {
namespace {

struct CompilerSymbol {
  const char* name;
  void* address;
};

bool isBefore(const CompilerSymbol& symbol, const char* name) { return std::strcmp(symbol.name, name) < 0; }

}  // namespace

// The table, in the order of the names' bytes.
extern "C" {
extern const CompilerSymbol splicehostCompilerSymbols[];
extern const CompilerSymbol splicehostCompilerSymbolsEnd[];
}

void* compilerSymbol(const char* name) {
  const CompilerSymbol* found =
      std::lower_bound(splicehostCompilerSymbols, splicehostCompilerSymbolsEnd, name, isBefore);
  if (found == splicehostCompilerSymbolsEnd || std::strcmp(found->name, name) != 0) return nullptr;
  return found->address;
}

}  // namespace splicehost::linker

// The static RTS asks dlsym() for what nothing that it has loaded defines (internal_dlsym in GHC 9.0.2 rts/Linker.c),
// first for the program's symbols. Programs are linked with --wrap=dlsym, so that it asks here. Inserting the symbols
// into the RTS's table instead would make a library that has its own copy a duplicate definition.
extern "C" {

void* __real_dlsym(void* handle, const char* name);

void* __wrap_dlsym(void* handle, const char* name) {
  // Before the look-up: it would clear what dlerror() has to say of that, by which the RTS goes.
  static void* const program = dlopen(nullptr, RTLD_LAZY);
  void* address = __real_dlsym(handle, name);
  if (address != nullptr || (handle != RTLD_DEFAULT && handle != program)) return address;
  address = splicehost::linker::compilerSymbol(name);
  if (address != nullptr) dlerror();
  return address;
}
}
