// The Haskell shim (ways/shim) as C++ sees it: carries out the messages that need Haskell.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "protocol/ghc_binary.h"
#include "protocol/ghc_versions.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

// How running Template Haskell code reaches the compiler. A failure of either is the end of the
// process: there is nobody left to run code for.
class ThChannel {
 public:
  virtual ~ThChannel() = default;
  // Sends a question, a complete THMessage.
  virtual void request(ghc::Bytes message) = 0;
  // Waits for the next piece of the answer, which is valid until the next call.
  virtual ghc::Bytes answer() = 0;
  // Records a reference that the shim has made.
  virtual void noteReference(uint64_t reference) = 0;
};

// There is one in a process, since the functions that Haskell calls have no place for an object.
class Evaluator {
 public:
  // `channel` must outlive the evaluator.
  Evaluator(const ghc::Version& version, ThChannel& channel);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Whether requests of this kind are the evaluator's.
  static bool carriesOut(schema::Request::Which which);

  // Runs Haskell code. Fails if the shim itself fails; what goes wrong in the code that it runs is part
  // of the reply. All references in the request must be good.
  Status run(schema::Request::Reader request, schema::Reply::Builder reply);

  // Writes out what evaluated code has left in the buffers of Haskell's and C's standard output.
  void flush();

 private:
  const ghc::Version& version_;
  bool prepared_ = false;
};

}  // namespace splicehost
