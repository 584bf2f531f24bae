// The Haskell shim (ways/shim) as C++ sees it: one Haskell thread that evaluates what it is given.
//
// The thread asks for the next message, so one thread evaluates everything in a session. Code can keep its thread id,
// and interrupts know where to go.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>

#include "protocol/ghc_binary.h"
#include "protocol/interpreter.capnp.h"

namespace splicehost {

// What the evaluating thread and the code that it runs ask for. The thread is inside one of these
// functions whenever it does not run Haskell, and none may throw.
class Evaluations {
 public:
  virtual ~Evaluations() = default;

  // The next message to carry out, in GHC's encoding, all of whose references are good. Nothing if
  // there will be none. Valid until the next call.
  virtual std::optional<ghc::Bytes> next() = 0;
  // How it ended: GHC's encoding of the answer, or (`good` is false) text that says why the shim failed.
  virtual void evaluated(bool good, ghc::Bytes result) = 0;

  // Running Template Haskell code has a question for the compiler, a complete THMessage.
  virtual void request(ghc::Bytes message) = 0;
  // Waits for the next piece of the answer, which is valid until the next call.
  virtual ghc::Bytes answer() = 0;
  // Records a reference that the shim has made.
  virtual void noteReference(uint64_t reference) = 0;
};

// Makes the calling thread a Haskell thread and evaluates until there is nothing more; then writes out
// what evaluated code has left in the buffers of standard output.
void evaluateAll(Evaluations& evaluations);

// Forks this process, which must not have run any Haskell code but the RTS's own. In the child a Haskell thread first
// runs the shim's own code, for nothing, if it `warmsUp`. Then it calls `prepare`, evaluates all that the result of
// that asks for, and calls `end`. The result here is the child's process id, or -1.
struct ForkedProcess {
  virtual bool warmsUp() const = 0;
  virtual Evaluations& prepare() = 0;
  [[noreturn]] virtual void end() = 0;

 protected:
  ~ForkedProcess() = default;
};
pid_t forkEvaluator(ForkedProcess& process);

}  // namespace splicehost
