// An application that is GHC's interpreter: the Haskell code that it runs can call its functions and see
// its state.

#include "iserv/interpreter/interpreter.h"

namespace {

// The application's own: whatever it has computed, loaded or connected to before any Haskell code runs.
int factor = 0;

}  // namespace

// What Haskell code imports with `foreign import ccall`. It has default visibility for the dynamic way,
// where the system's loader looks for it among what this program exports.
extern "C" [[gnu::visibility("default")]] int application_answer(int question) { return factor * question; }

int main(int argc, char* argv[]) {
  factor = 7;
  const splicehost::ExportedSymbol symbols[] = {
      {"application_answer", reinterpret_cast<void*>(&application_answer)},
  };
  return splicehost::runInterpreter(argc, argv, symbols);
}
