#include "iserv/interpreter/allocate.h"

#include <cstring>

namespace splicehost::bytecode {

namespace {

// Note [Allocating without a collection]. allocate() never collects garbage, and the lock keeps others from doing it.
// So all objects of a set are allocated first and can then be filled in any order with plain addresses. All are in the
// youngest generation, so none needs a place on a mutable list.

template <typename Object>
Object* allocateWords(const RtsLock& lock, size_t words) {
  return reinterpret_cast<Object*>(allocate(lock.capability(), words));
}

StgArrBytes* copyOf(const RtsLock& lock, Bytes bytes) {
  StgArrBytes* array = allocateBytes(lock, bytes.size());
  std::memcpy(array->payload, bytes.data(), bytes.size());
  return array;
}

StgMutArrPtrs* allocatePointers(const RtsLock& lock, size_t count) {
  size_t words = count + mutArrPtrsCardTableSize(count);
  auto* array = allocateWords<StgMutArrPtrs>(lock, sizeofW(StgMutArrPtrs) + words);
  SET_HDR(array, &stg_MUT_ARR_PTRS_FROZEN_CLEAN_info, CCS_MAIN);
  array->ptrs = count;
  array->size = words;
  std::memset(&array->payload[count], 0, (words - count) * sizeof(W_));
  return array;
}

StgBCO* allocateBco(const RtsLock& lock, const Bco& bco) {
  size_t words = sizeofW(StgBCO) + bco.bitmapWords();
  auto* object = allocateWords<StgBCO>(lock, words);
  SET_HDR(object, &stg_BCO_info, CCS_MAIN);
  object->instrs = copyOf(lock, bco.instructions);
  object->literals = copyOf(lock, bco.literals);
  object->ptrs = allocatePointers(lock, bco.pointerCount);
  object->arity = static_cast<StgHalfWord>(bco.arity);
  object->size = static_cast<StgHalfWord>(words);
  std::memcpy(object->bitmap, bco.bitmap.data(), bco.bitmap.size());
  return object;
}

// An evaluated BCO of arity 0 does not update itself; an AP that holds it does.
StgClosure* thunkOf(const RtsLock& lock, StgBCO* bco) {
  auto* thunk = allocateWords<StgAP>(lock, sizeofW(StgAP));
  SET_HDR(thunk, &stg_AP_info, CCS_MAIN);
  thunk->arity = 0;
  thunk->n_args = 0;
  thunk->fun = reinterpret_cast<StgClosure*>(bco);
  return reinterpret_cast<StgClosure*>(thunk);
}

}  // namespace

StgArrBytes* allocateBytes(const RtsLock& lock, size_t size) {
  size_t words = ROUNDUP_BYTES_TO_WDS(size);
  auto* array = allocateWords<StgArrBytes>(lock, sizeofW(StgArrBytes) + words);
  SET_HDR(array, &stg_ARR_WORDS_info, CCS_MAIN);
  array->bytes = size;
  std::memset(array->payload, 0, words * sizeof(W_));
  return array;
}

std::vector<StgClosure*> allocateBcos(const RtsLock& lock, const BcoSet& set, const ResolveReference& resolve) {
  std::vector<StgBCO*> objects;
  objects.reserve(set.bcos.size());
  for (const Bco& bco : set.bcos) objects.push_back(allocateBco(lock, bco));

  std::vector<StgClosure*> topLevel;
  topLevel.reserve(set.topLevel.size());
  for (uint32_t index : set.topLevel) {
    bool isThunk = set.bcos[index].arity == 0;
    topLevel.push_back(isThunk ? thunkOf(lock, objects[index]) : reinterpret_cast<StgClosure*>(objects[index]));
  }

  for (size_t i = 0; i < set.bcos.size(); ++i) {
    StgClosure** slot = objects[i]->ptrs->payload;
    for (const BcoPointer& pointer : set.pointersOf(set.bcos[i])) {
      switch (pointer.kind) {
        case BcoPointer::Kind::kBcoOfSet:
          *slot = topLevel[pointer.value];
          break;
        case BcoPointer::Kind::kNestedBco:
          *slot = reinterpret_cast<StgClosure*>(objects[pointer.value]);
          break;
        case BcoPointer::Kind::kStaticPointer:
          *slot = reinterpret_cast<StgClosure*>(pointer.value);
          break;
        case BcoPointer::Kind::kRemoteReference:
        case BcoPointer::Kind::kBreakArray:
          *slot = resolve(pointer.value);
          break;
      }
      ++slot;
    }
  }
  return topLevel;
}

}  // namespace splicehost::bytecode
