#include "iserv/interpreter/rts_lock.h"
//
#include "iserv/interpreter/evaluator.h"

#include <HsFFI.h>

#include <cstdio>

// Defined in Haskell (ways/shim/Splicehost/Shim.hs).
extern "C" {
void splicehost_evaluate_all(void);
HsStablePtr splicehost_forked(void);
}

namespace splicehost {

namespace {

// The two globals that calls from Haskell force.
Evaluations* evaluationsOfProcess = nullptr;
ForkedProcess* forkedProcess = nullptr;

}  // namespace

extern "C" {

const uint8_t* splicehost_next(size_t* size) {
  std::optional<ghc::Bytes> message = evaluationsOfProcess->next();
  if (!message) return nullptr;
  *size = message->size();
  return reinterpret_cast<const uint8_t*>(message->data());
}

void splicehost_evaluated(int32_t good, const uint8_t* bytes, size_t size) {
  // What was printed through C belongs before what GHC prints next.
  std::fflush(nullptr);
  evaluationsOfProcess->evaluated(good != 0, {reinterpret_cast<const std::byte*>(bytes), size});
}

void splicehost_th_request(const uint8_t* bytes, size_t size) {
  evaluationsOfProcess->request({reinterpret_cast<const std::byte*>(bytes), size});
}

const uint8_t* splicehost_th_answer(size_t* size) {
  ghc::Bytes piece = evaluationsOfProcess->answer();
  *size = piece.size();
  return reinterpret_cast<const uint8_t*>(piece.data());
}

void splicehost_note_reference(uint64_t reference) { evaluationsOfProcess->noteReference(reference); }

int32_t splicehost_warms_up(void) { return forkedProcess->warmsUp() ? 1 : 0; }

void splicehost_prepare_forked(void) { evaluationsOfProcess = &forkedProcess->prepare(); }

void splicehost_end_forked(void) {
  std::fflush(nullptr);
  forkedProcess->end();
}
}

void evaluateAll(Evaluations& evaluations) {
  evaluationsOfProcess = &evaluations;
  splicehost_evaluate_all();
  std::fflush(nullptr);
}

pid_t forkEvaluator(ForkedProcess& process) {
  static const HsStablePtr action = splicehost_forked();
  forkedProcess = &process;
  return forkProcess(static_cast<HsStablePtr*>(action));
}

}  // namespace splicehost
