// The remote references that a session has given out: names of Haskell values (and of break arrays). Each is a stable
// pointer of the RTS, which keeps its value alive.
//
// The RTS does not check stable pointers, so a wrong number from a client would be a wild pointer. This
// table knows which numbers are good.
#pragma once

#include <cstdint>
#include <unordered_set>

#include "iserv/interpreter/rts_lock.h"

namespace splicehost {

class References {
 public:
  // A new reference to a closure. The lock says that the address is still true.
  uint64_t add(const RtsLock& lock, StgClosure* closure);
  // Records a reference that Haskell code has made by itself.
  void note(uint64_t reference) { live_.insert(reference); }

  // Whether the reference can be used.
  bool contains(uint64_t reference) const { return live_.contains(reference); }

  // The closure that a good reference stands for; true as long as the lock is held.
  StgClosure* closure(const RtsLock& lock, uint64_t reference) const;

  // Forgets a good reference and lets its value go.
  void free(uint64_t reference);

 private:
  std::unordered_set<uint64_t> live_;
};

}  // namespace splicehost
