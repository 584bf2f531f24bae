// Info tables for data constructors that interpreted code defines.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost::bytecode {

// Makes an info table and its entry code, which live until the process ends. The result is what the
// header of a closure of this constructor holds. Fails if a number does not fit an info table
// (includes/rts/storage/InfoTables.h).
Result<uint64_t> makeConstructorInfo(schema::ConstructorInfo::Reader constructor);

}  // namespace splicehost::bytecode
