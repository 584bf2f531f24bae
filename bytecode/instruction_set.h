// The byte code instructions of GHC as data, and a reader of instruction streams.
//
// A BCO's instructions are a sequence of halfwords (16 bits, host byte order): an opcode, then its
// operands. The low 8 bits of an opcode halfword are the instruction, and of the others only the
// highest has a meaning: it says that the operands are large. Some operands take one halfword,
// large or not. The others (which ones depends on the GHC) take a machine word, four halfwords with
// the most significant first, in an instruction that is marked large.
//
// Sources: includes/rts/Bytecodes.h, since GHC 9.4 rts/include/rts/Bytecodes.h (numbers); compiler/GHC/ByteCode/Asm.hs
// (operands, their order, and which can be large); rts/Interpreter.c (what they mean).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "bytecode/bco.h"

namespace splicehost::bytecode {

// What an operand means. The verifier checks by it, the disassembler prints by it.
enum class OperandKind : uint8_t {
  kStackWords,      // an offset from the stack pointer, in words
  kStackBytes,      // an offset from the stack pointer, in bytes
  kWords,           // a number of words
  kSignedNumber,    // a number to add; of 16 bits with a sign if it cannot be large
  kArity,           // the arity of a function
  kConstructorTag,  // the pointer tag that a constructor is compared with
  kFlags,           // how to make a foreign call: 1 interruptible, 2 unsafe
  kBreakIndex,      // the number of a breakpoint, an index into the break array
  kInfoIndex,       // the number of a breakpoint's place in its module's byte code
  kLiteral,         // index of a literal: a number
  kLiteralRange,    // index of the first of several literals; the next operand is how many
  kInfoTable,       // index of a literal: the address of a constructor's info table
  kForeignCall,     // index of a literal: the address of a foreign call's ffi_cif
  kCostCentre,      // index of a literal: the address of a cost centre, 0 when not profiling
  kModuleName,      // index of a literal: the address of a module's name
  kTupleInfo,       // index of a literal: how an unboxed tuple is returned
  kClosure,         // index of a pointer: a closure to push
  kContinuation,    // index of a pointer: a nested BCO, the alternatives of a case
  kTupleBco,        // index of a pointer: a nested BCO, which describes an unboxed tuple
  kBreakArray,      // index of a pointer: a break array
  kLabel,           // a halfword of this BCO's instructions, to continue at
};

struct Operand {
  OperandKind kind;
  bool canBeLarge;
};

constexpr size_t kMaxOperands = 6;

// One row of an instruction set.
struct InstructionInfo {
  uint8_t opcode;
  std::string_view name;  // without the prefix bci_
  // Whether the interpreter never goes on to the next instruction from this one.
  bool leaves;
  uint8_t operandCount;
  std::array<Operand, kMaxOperands> operands;
};

// The instructions of one GHC version.
class InstructionSet {
 public:
  // The rows must outlive the set.
  constexpr explicit InstructionSet(std::span<const InstructionInfo> rows) {
    for (const InstructionInfo& row : rows) byOpcode_[row.opcode] = &row;
  }

  // The instructions of a later version: those of `base` without the opcodes in `removed`, and `rows`,
  // new ones and such that take the place of one of `base`.
  constexpr InstructionSet(const InstructionSet& base, std::initializer_list<uint8_t> removed,
                           std::span<const InstructionInfo> rows)
      : byOpcode_(base.byOpcode_) {
    for (uint8_t opcode : removed) byOpcode_[opcode] = nullptr;
    for (const InstructionInfo& row : rows) byOpcode_[row.opcode] = &row;
  }

  // The row of an opcode, or null if there is no such instruction.
  const InstructionInfo* find(uint8_t opcode) const { return byOpcode_[opcode]; }

 private:
  std::array<const InstructionInfo*, 256> byOpcode_{};
};

// The instructions of each version.
extern const InstructionSet kInstructions902;
extern const InstructionSet kInstructions966;
extern const InstructionSet kInstructions9103;

// One instruction of a BCO. Operands beyond info->operandCount have no meaning.
struct Instruction {
  const InstructionInfo* info;
  size_t offset;  // of the opcode, in halfwords: what the RTS calls bciPtr
  bool large;
  std::array<uint64_t, kMaxOperands> operands;
};

// Walks an instruction stream from its first halfword on. Reads nothing outside of it.
class InstructionReader {
 public:
  enum class Step {
    kInstruction,  // an instruction was read
    kEnd,          // the stream ends where an instruction does
    kUnknown,      // the halfword at offset() is no instruction's opcode
    kTruncated,    // the stream ends within the instruction at offset()
  };

  InstructionReader(Bytes instructions, const InstructionSet& set) : instructions_(instructions), set_(set) {}

  // Reads the next instruction. After anything but Step::kInstruction the reader stays where it is.
  Step next(Instruction& instruction) {
    const size_t halfwords = instructions_.size() / sizeof(uint16_t);
    if (offset_ == halfwords) return Step::kEnd;
    const uint16_t opcode = loadElement<uint16_t>(instructions_, offset_);
    const InstructionInfo* info = (opcode & kUnusedBits) == 0 ? set_.find(static_cast<uint8_t>(opcode)) : nullptr;
    if (info == nullptr) return Step::kUnknown;
    const bool large = (opcode & kLargeOperands) != 0;
    size_t at = offset_ + 1;
    for (size_t i = 0; i < info->operandCount; ++i) {
      const size_t width = large && info->operands[i].canBeLarge ? kLargeHalfwords : 1;
      if (width > halfwords - at) return Step::kTruncated;
      uint64_t value = 0;
      for (const size_t end = at + width; at < end; ++at) {
        value = value << 16 | loadElement<uint16_t>(instructions_, at);
      }
      instruction.operands[i] = value;
    }
    instruction.info = info;
    instruction.offset = offset_;
    instruction.large = large;
    offset_ = at;
    return Step::kInstruction;
  }

  // The halfword where the next instruction starts.
  size_t offset() const { return offset_; }

 private:
  static constexpr uint16_t kLargeOperands = 0x8000;
  static constexpr uint16_t kUnusedBits = 0x7f00;
  // A machine word's worth. Only 64-bit platforms are supported.
  static constexpr size_t kLargeHalfwords = 4;

  Bytes instructions_;
  const InstructionSet& set_;
  size_t offset_ = 0;
};

}  // namespace splicehost::bytecode
