// Call interfaces (libffi's ffi_cif) for foreign calls from interpreted code.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost::bytecode {

// Owns the call interfaces of a session.
class ForeignCalls {
 public:
  ForeignCalls();
  ~ForeignCalls();

  // The address of a new ffi_cif.
  Result<uint64_t> prepare(schema::ForeignCall::Reader call);
  // Fails if there is no such interface.
  Status free(uint64_t address);

 private:
  struct Interface;
  std::unordered_map<uint64_t, std::unique_ptr<Interface>> interfaces_;
};

}  // namespace splicehost::bytecode
