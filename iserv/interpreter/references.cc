#include "iserv/interpreter/references.h"

namespace splicehost {

uint64_t References::add(const RtsLock&, StgClosure* closure) {
  auto reference = reinterpret_cast<uint64_t>(getStablePtr(reinterpret_cast<StgPtr>(closure)));
  live_.insert(reference);
  return reference;
}

StgClosure* References::closure(const RtsLock&, uint64_t reference) const {
  return reinterpret_cast<StgClosure*>(deRefStablePtr(reinterpret_cast<StgStablePtr>(reference)));
}

void References::free(uint64_t reference) {
  live_.erase(reference);
  hs_free_stable_ptr(reinterpret_cast<HsStablePtr>(reference));
}

}  // namespace splicehost
