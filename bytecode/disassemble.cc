#include "bytecode/disassemble.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace splicehost::bytecode {
namespace {

constexpr uint64_t kBitsPerWord = 64;
// How many words of a bitmap and of a literal range are listed.
constexpr uint64_t kListedWords = 64;
constexpr size_t kOffsetColumns = 5;
constexpr size_t kNameColumns = 16;

class Disassembler {
 public:
  Disassembler(const BcoSet& set, const BcoFormat& format) : set_(set), format_(format), names_(set) {}

  std::string text() {
    for (uint32_t i = 0; i < set_.bcos.size(); ++i) {
      bco_ = &set_.bcos[i];
      text_ += names_.of(i);
      text_ += ": arity ";
      number(bco_->arity);
      text_ += ", bitmap ";
      bitmap();
      text_ += '\n';
      instructions();
    }
    return std::move(text_);
  }

 private:
  void number(auto value, int base = 10) {
    std::array<char, 24> digits;
    const std::to_chars_result end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
    text_.append(digits.data(), end.ptr);
  }

  void address(uint64_t value) {
    text_ += "0x";
    number(value, 16);
  }

  void padTo(size_t lineStart, size_t columns) {
    const size_t used = text_.size() - lineStart;
    text_.append(used < columns ? columns - used : 1, ' ');
  }

  // "2 pn": the size, then for each word whether it is a pointer (bit 0) or not (bit 1).
  void bitmap() {
    if (bco_->bitmapWords() == 0) {
      text_ += "missing";
      return;
    }
    const uint64_t size = loadElement<uint64_t>(bco_->bitmap, 0);
    number(size);
    const uint64_t held = (bco_->bitmapWords() - 1) * kBitsPerWord;
    const uint64_t listed = std::min({size, held, kListedWords});
    if (listed > 0) text_ += ' ';
    for (uint64_t i = 0; i < listed; ++i) {
      const uint64_t word = loadElement<uint64_t>(bco_->bitmap, 1 + i / kBitsPerWord);
      text_ += (word >> i % kBitsPerWord & 1) != 0 ? 'n' : 'p';
    }
    if (listed < size) text_ += "...";
  }

  void instructions() {
    using Step = InstructionReader::Step;
    InstructionReader reader(bco_->instructions, format_.instructions);
    Instruction instruction{};
    Step step = reader.next(instruction);
    for (; step == Step::kInstruction; step = reader.next(instruction)) {
      const size_t start = beginLine(instruction.offset);
      text_ += instruction.info->name;
      if (instruction.large) text_ += " LARGE";
      for (size_t i = 0; i < instruction.info->operandCount; ++i) {
        if (i == 0) {
          padTo(start, kOffsetColumns + kNameColumns);
        } else {
          text_ += ", ";
        }
        operand(instruction, i);
      }
      text_ += '\n';
    }
    if (step == Step::kEnd) return;
    beginLine(reader.offset());
    text_ += step == Step::kUnknown ? "unknown opcode " : "cut off: opcode ";
    number(loadElement<uint16_t>(bco_->instructions, reader.offset()));
    text_ += '\n';
  }

  size_t beginLine(size_t offset) {
    const size_t start = text_.size();
    text_ += "  ";
    number(offset);
    padTo(start, kOffsetColumns);
    text_ += ' ';
    return start;
  }

  void operand(const Instruction& instruction, size_t i) {
    const uint64_t value = instruction.operands[i];
    switch (instruction.info->operands[i].kind) {
      case OperandKind::kStackWords:
        text_ += "Sp[";
        number(value);
        text_ += ']';
        break;
      case OperandKind::kStackBytes:
        text_ += "Sp+";
        number(value);
        break;
      case OperandKind::kWords:
        number(value);
        text_ += " words";
        break;
      case OperandKind::kSignedNumber:
        number(instruction.info->operands[i].canBeLarge ? static_cast<int64_t>(value) : static_cast<int16_t>(value));
        break;
      case OperandKind::kArity:
        labelled("arity ", value);
        break;
      case OperandKind::kConstructorTag:
        labelled("tag ", value);
        break;
      case OperandKind::kFlags:
        labelled("flags ", value);
        break;
      case OperandKind::kBreakIndex:
        labelled("breakpoint ", value);
        break;
      case OperandKind::kInfoIndex:
        labelled("place ", value);
        break;
      case OperandKind::kLiteral:
        literals(value, 1);
        break;
      case OperandKind::kLiteralRange:
        literals(value, instruction.operands[i + 1]);
        break;
      case OperandKind::kInfoTable:
        text_ += "info table ";
        literals(value, 1);
        break;
      case OperandKind::kForeignCall:
        text_ += "ffi_cif ";
        literals(value, 1);
        break;
      case OperandKind::kCostCentre:
        text_ += "cost centre ";
        literals(value, 1);
        break;
      case OperandKind::kModuleName:
        text_ += "module name ";
        literals(value, 1);
        break;
      case OperandKind::kTupleInfo:
        text_ += "tuple ";
        literals(value, 1);
        break;
      case OperandKind::kClosure:
      case OperandKind::kContinuation:
      case OperandKind::kTupleBco:
      case OperandKind::kBreakArray:
        pointer(value);
        break;
      case OperandKind::kLabel:
        labelled("to ", value);
        break;
    }
  }

  void labelled(std::string_view label, uint64_t value) {
    text_ += label;
    number(value);
  }

  // "0x2a (literal 3)"
  void literals(uint64_t first, uint64_t count) {
    const uint64_t available = bco_->literalWords();
    if (first > available || count > available - first) {
      labelled("missing (literal ", first);
    } else {
      for (uint64_t i = 0; i < std::min(count, kListedWords); ++i) {
        address(loadElement<uint64_t>(bco_->literals, first + i));
        text_ += ' ';
      }
      labelled("(literal ", first);
    }
    text_ += ')';
  }

  // "static 0x4242 (pointer 1)"
  void pointer(uint64_t index) {
    if (index >= bco_->pointerCount) {
      text_ += "missing";
    } else {
      const BcoPointer& pointer = set_.pointersOf(*bco_)[index];
      switch (pointer.kind) {
        case BcoPointer::Kind::kBcoOfSet:
          labelled("BCO ", pointer.value);
          break;
        case BcoPointer::Kind::kRemoteReference:
          text_ += "remote ";
          address(pointer.value);
          break;
        case BcoPointer::Kind::kStaticPointer:
          text_ += "static ";
          address(pointer.value);
          break;
        case BcoPointer::Kind::kNestedBco:
          text_ += "nested BCO";
          break;
        case BcoPointer::Kind::kBreakArray:
          text_ += "break array ";
          address(pointer.value);
          break;
      }
    }
    labelled(" (pointer ", index);
    text_ += ')';
  }

  const BcoSet& set_;
  const BcoFormat& format_;
  const BcoNames names_;
  const Bco* bco_ = nullptr;
  std::string text_;
};

}  // namespace

std::string disassemble(const BcoSet& set, const BcoFormat& format) { return Disassembler(set, format).text(); }

}  // namespace splicehost::bytecode
