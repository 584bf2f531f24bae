// Holding a capability of GHC's RTS: the right to touch the Haskell heap.
//
// While an RtsLock lives, no Haskell code of this process runs and no garbage collection happens, so
// addresses of heap objects stay true. It also keeps the RTS linker, which is not made for company, to
// one user at a time.
#pragma once

// Rts.h defines macros as plain as BITS_PER_BYTE, which Cap'n Proto's headers must not meet.
#include <capnp/message.h>
//
#include <Rts.h>

namespace splicehost {

// A capability's registers. How a Capability begins (rts/Capability.h) the RTS's public headers keep to
// themselves.
inline StgRegTable& registersOf(Capability* capability) {
  struct CapabilityStart {
    StgFunTable f;
    StgRegTable r;
  };
  return reinterpret_cast<CapabilityStart*>(capability)->r;
}

class RtsLock {
 public:
  RtsLock() : capability_(rts_lock()) {}
  ~RtsLock() { rts_unlock(capability_); }
  RtsLock(const RtsLock&) = delete;
  RtsLock& operator=(const RtsLock&) = delete;

  Capability* capability() const { return capability_; }

 private:
  Capability* capability_;
};

}  // namespace splicehost
