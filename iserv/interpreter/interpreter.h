// The interpreter as a library: a program that links it is an interpreter for GHC.
//
// Such a program's main calls runInterpreter() and returns its result. It can offer symbols of its own
// to the code that it will run. docs/examples/ has one; ways/build-ghc builds them.
#pragma once

#include <span>

namespace splicehost {

// Something of the program's that code compiled by GHC can refer to by a C name, such as a function for
// `foreign import ccall`.
struct ExportedSymbol {
  const char* name;
  void* address;
};

// Serves one client, over the socket whose number follows `--fd` on the command line, until it shuts the interpreter
// down. +RTS options are the RTS's. `symbols` must outlive the call. The result is the process's exit status: 0 after a
// shutdown, 1 after an error (it is on stderr), 2 for a wrong command line. If the client hangs up the process ends at
// once, whatever it is running.
int runInterpreter(int argc, char* argv[], std::span<const ExportedSymbol> symbols = {});

}  // namespace splicehost
