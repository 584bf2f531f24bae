#include "bytecode/verify.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace splicehost::bytecode {
namespace {

constexpr uint64_t kMaxHalfWord = std::numeric_limits<uint32_t>::max();  // an StgHalfWord's
constexpr uint64_t kBitsPerWord = 64;
// rts/Interpreter.c, bci_PUSH_ALTS_T, GHC 9.6.6 and 9.10.3.
constexpr uint64_t kMaxTupleWords = 62;

std::string ofCount(const char* what, uint64_t index, uint64_t count) {
  return std::string(what) + ' ' + std::to_string(index) + " of " + std::to_string(count);
}

const char* describe(BcoPointer::Kind kind) {
  switch (kind) {
    case BcoPointer::Kind::kBcoOfSet:
      return "a BCO of the set";
    case BcoPointer::Kind::kRemoteReference:
      return "a remote reference";
    case BcoPointer::Kind::kStaticPointer:
      return "a static pointer";
    case BcoPointer::Kind::kNestedBco:
      return "a nested BCO";
    case BcoPointer::Kind::kBreakArray:
      return "a break array";
  }
  return "of an unknown kind";
}

// What is wrong with a BCO, and where in it.
struct Problem {
  std::string what;
  std::string where{};
};

Problem inInstruction(const InstructionInfo& info, size_t offset, std::string what) {
  return {std::move(what), ", instruction " + std::to_string(offset) + " (" + std::string(info.name) + ')'};
}

// Checks one BCO after the other. Keeps its buffers from one to the next.
class Verifier {
 public:
  Verifier(const BcoSet& set, const BcoFormat& format) : set_(set), format_(format) {}

  Status verify() {
    size_t nextTop = 0;
    for (uint32_t i = 0; i < set_.bcos.size(); ++i) {
      bco_ = &set_.bcos[i];
      pointers_ = set_.pointersOf(*bco_);
      const bool isTopLevel = nextTop < set_.topLevel.size() && set_.topLevel[nextTop] == i;
      if (isTopLevel) ++nextTop;
      std::optional<Problem> problem = checkShape(isTopLevel);
      if (!problem) problem = checkPointers();
      if (!problem) problem = checkInstructions();
      if (problem) return Error{problem->what}.within(BcoNames(set_).of(i) + problem->where);
    }
    return Done{};
  }

 private:
  std::optional<Problem> checkShape(bool isTopLevel) const {
    if (bco_->arity < 0 || static_cast<uint64_t>(bco_->arity) > kMaxHalfWord) {
      return Problem{"an arity of " + std::to_string(bco_->arity)};
    }
    if (bco_->bitmapWords() == 0) return Problem{"a bitmap without its size"};
    const uint64_t size = loadElement<uint64_t>(bco_->bitmap, 0);
    if (size > kMaxHalfWord) return Problem{"a bitmap of size " + std::to_string(size)};
    const uint64_t words = (size + kBitsPerWord - 1) / kBitsPerWord;
    if (bco_->bitmapWords() - 1 != words) {
      return Problem{"a bitmap of size " + std::to_string(size) + " in " + std::to_string(bco_->bitmapWords() - 1) +
                     " words instead of " + std::to_string(words)};
    }
    if (isTopLevel && bco_->arity == 0 && size != 0) {
      return Problem{"a bitmap of size " + std::to_string(size) + " at top level with arity 0"};
    }
    return std::nullopt;
  }

  std::optional<Problem> checkPointers() const {
    for (size_t i = 0; i < pointers_.size(); ++i) {
      const BcoPointer& pointer = pointers_[i];
      if (pointer.kind == BcoPointer::Kind::kBcoOfSet && pointer.value >= set_.topLevel.size()) {
        return Problem{ofCount("BCO", pointer.value, set_.topLevel.size()), inPointer(i)};
      }
      if (pointer.kind == BcoPointer::Kind::kStaticPointer && pointer.value == 0) {
        return Problem{"a null static pointer", inPointer(i)};
      }
    }
    return std::nullopt;
  }

  std::optional<Problem> checkInstructions() {
    using Step = InstructionReader::Step;
    const size_t halfwords = bco_->instructionHalfwords();
    if (halfwords == 0) return Problem{"no instructions"};
    isStart_.assign(halfwords, false);
    jumps_.clear();
    InstructionReader reader(bco_->instructions, format_.instructions);
    Instruction instruction{};
    Step step = reader.next(instruction);
    for (; step == Step::kInstruction; step = reader.next(instruction)) {
      isStart_[instruction.offset] = true;
      for (size_t i = 0; i < instruction.info->operandCount; ++i) {
        if (std::optional<std::string> what = checkOperand(instruction, i)) {
          return inInstruction(*instruction.info, instruction.offset, std::move(*what));
        }
      }
    }
    if (step == Step::kUnknown) {
      const uint16_t opcode = loadElement<uint16_t>(bco_->instructions, reader.offset());
      return Problem{"unknown opcode " + std::to_string(opcode), inStream(reader)};
    }
    if (step == Step::kTruncated) {
      return Problem{"goes beyond the last of " + std::to_string(halfwords) + " halfwords", inStream(reader)};
    }
    if (!instruction.info->leaves) {
      return inInstruction(*instruction.info, instruction.offset, "the last one, goes on");
    }
    for (const Jump& jump : jumps_) {
      if (jump.target >= halfwords || !isStart_[jump.target]) {
        return inInstruction(*jump.info, jump.offset,
                             "no instruction starts at " + ofCount("halfword", jump.target, halfwords));
      }
    }
    return std::nullopt;
  }

  // What is wrong with an operand. Notes jumps for when all instructions are known.
  std::optional<std::string> checkOperand(const Instruction& instruction, size_t i) {
    const uint64_t value = instruction.operands[i];
    const uint64_t literals = bco_->literalWords();
    switch (instruction.info->operands[i].kind) {
      case OperandKind::kStackWords:
      case OperandKind::kStackBytes:
      case OperandKind::kWords:
      case OperandKind::kSignedNumber:
      case OperandKind::kArity:
      case OperandKind::kConstructorTag:
      case OperandKind::kFlags:
      case OperandKind::kBreakIndex:
      case OperandKind::kInfoIndex:
        return std::nullopt;
      case OperandKind::kLiteral:
      case OperandKind::kCostCentre:
        if (value >= literals) return ofCount("literal", value, literals);
        return std::nullopt;
      case OperandKind::kLiteralRange: {
        const uint64_t count = instruction.operands[i + 1];
        if (value > literals || count > literals - value) {
          return std::to_string(count) + " words from " + ofCount("literal", value, literals);
        }
        return std::nullopt;
      }
      case OperandKind::kTupleInfo: {
        if (value >= literals) return ofCount("literal", value, literals);
        // What is not passed in registers lies on the stack; the RTS has a frame for each size.
        const uint64_t words = loadElement<uint64_t>(bco_->literals, value) >> 24 & 0xff;
        if (words > kMaxTupleWords) {
          return "a tuple of " + std::to_string(words) + " words on the stack";
        }
        return std::nullopt;
      }
      case OperandKind::kInfoTable:
      case OperandKind::kForeignCall:
      case OperandKind::kModuleName:
        if (value >= literals) return ofCount("literal", value, literals);
        if (loadElement<uint64_t>(bco_->literals, value) == 0) {
          return "literal " + std::to_string(value) + " is null";
        }
        return std::nullopt;
      case OperandKind::kClosure:
        if (value >= pointers_.size()) return ofCount("pointer", value, pointers_.size());
        // A break array is no closure that could be entered or applied.
        if (pointers_[value].kind == BcoPointer::Kind::kBreakArray) return wrongKind(value);
        return std::nullopt;
      case OperandKind::kContinuation:
      case OperandKind::kTupleBco:
        return checkKind(value, BcoPointer::Kind::kNestedBco);
      case OperandKind::kBreakArray:
        return checkKind(value, BcoPointer::Kind::kBreakArray);
      case OperandKind::kLabel:
        jumps_.push_back({instruction.info, instruction.offset, value});
        return std::nullopt;
    }
    return std::nullopt;
  }

  std::optional<std::string> checkKind(uint64_t pointer, BcoPointer::Kind kind) const {
    if (pointer >= pointers_.size()) return ofCount("pointer", pointer, pointers_.size());
    if (pointers_[pointer].kind != kind) return wrongKind(pointer) + ", not " + describe(kind);
    return std::nullopt;
  }

  std::string wrongKind(uint64_t pointer) const {
    return "pointer " + std::to_string(pointer) + " is " + describe(pointers_[pointer].kind);
  }

  static std::string inStream(const InstructionReader& reader) {
    return ", instruction " + std::to_string(reader.offset());
  }

  static std::string inPointer(size_t index) { return ", pointer " + std::to_string(index); }

  struct Jump {
    const InstructionInfo* info;
    size_t offset;
    uint64_t target;
  };

  const BcoSet& set_;
  const BcoFormat& format_;
  const Bco* bco_ = nullptr;
  std::span<const BcoPointer> pointers_;
  std::vector<bool> isStart_;  // for each halfword whether an instruction starts there
  std::vector<Jump> jumps_;
};

}  // namespace

Status verify(const BcoSet& set, const BcoFormat& format) { return Verifier(set, format).verify(); }

}  // namespace splicehost::bytecode
