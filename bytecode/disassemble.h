// BCOs as text, for people who look into what GHC sent.
#pragma once

#include <string>

#include "bytecode/bco.h"
#include "bytecode/format.h"

namespace splicehost::bytecode {

// A listing of all BCOs of a set in the order they are allocated in, with what each operand refers
// to. The set need not have passed verify(): what cannot be read or does not exist is shown as
// such.
std::string disassemble(const BcoSet& set, const BcoFormat& format);

}  // namespace splicehost::bytecode
