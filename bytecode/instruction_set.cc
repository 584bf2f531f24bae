#include "bytecode/instruction_set.h"

#include <initializer_list>

namespace splicehost::bytecode {
namespace {

using enum OperandKind;

// An operand of one halfword in any case.
constexpr Operand small(OperandKind kind) { return {kind, false}; }
// An operand of a machine word in an instruction marked large.
constexpr Operand wide(OperandKind kind) { return {kind, true}; }

constexpr InstructionInfo makeRow(uint8_t opcode, std::string_view name, bool leaves,
                                  std::initializer_list<Operand> operands) {
  InstructionInfo info{opcode, name, leaves, 0, {}};
  for (const Operand& operand : operands) info.operands[info.operandCount++] = operand;
  return info;
}

constexpr InstructionInfo row(uint8_t opcode, std::string_view name, std::initializer_list<Operand> operands = {}) {
  return makeRow(opcode, name, false, operands);
}

constexpr InstructionInfo leave(uint8_t opcode, std::string_view name, std::initializer_list<Operand> operands = {}) {
  return makeRow(opcode, name, true, operands);
}

// Number 37 (PUSH_APPLY of seven pointers) was never given out.
constexpr InstructionInfo kRows902[] = {
    row(1, "STKCHECK", {wide(kWords)}),
    row(2, "PUSH_L", {small(kStackWords)}),
    row(3, "PUSH_LL", {small(kStackWords), small(kStackWords)}),
    row(4, "PUSH_LLL", {small(kStackWords), small(kStackWords), small(kStackWords)}),
    row(5, "PUSH8", {small(kStackBytes)}),
    row(6, "PUSH16", {small(kStackBytes)}),
    row(7, "PUSH32", {small(kStackBytes)}),
    row(8, "PUSH8_W", {small(kStackBytes)}),
    row(9, "PUSH16_W", {small(kStackBytes)}),
    row(10, "PUSH32_W", {small(kStackBytes)}),
    row(11, "PUSH_G", {wide(kClosure)}),
    row(12, "PUSH_ALTS", {wide(kContinuation)}),
    row(13, "PUSH_ALTS_P", {wide(kContinuation)}),
    row(14, "PUSH_ALTS_N", {wide(kContinuation)}),
    row(15, "PUSH_ALTS_F", {wide(kContinuation)}),
    row(16, "PUSH_ALTS_D", {wide(kContinuation)}),
    row(17, "PUSH_ALTS_L", {wide(kContinuation)}),
    row(18, "PUSH_ALTS_V", {wide(kContinuation)}),
    row(19, "PUSH_PAD8"),
    row(20, "PUSH_PAD16"),
    row(21, "PUSH_PAD32"),
    row(22, "PUSH_UBX8", {wide(kLiteral)}),
    row(23, "PUSH_UBX16", {wide(kLiteral)}),
    row(24, "PUSH_UBX32", {wide(kLiteral)}),
    row(25, "PUSH_UBX", {wide(kLiteralRange), small(kWords)}),
    row(26, "PUSH_APPLY_N"),
    row(27, "PUSH_APPLY_F"),
    row(28, "PUSH_APPLY_D"),
    row(29, "PUSH_APPLY_L"),
    row(30, "PUSH_APPLY_V"),
    row(31, "PUSH_APPLY_P"),
    row(32, "PUSH_APPLY_PP"),
    row(33, "PUSH_APPLY_PPP"),
    row(34, "PUSH_APPLY_PPPP"),
    row(35, "PUSH_APPLY_PPPPP"),
    row(36, "PUSH_APPLY_PPPPPP"),
    row(38, "SLIDE", {small(kWords), small(kWords)}),
    row(39, "ALLOC_AP", {small(kWords)}),
    row(40, "ALLOC_AP_NOUPD", {small(kWords)}),
    row(41, "ALLOC_PAP", {small(kArity), small(kWords)}),
    row(42, "MKAP", {small(kStackWords), small(kWords)}),
    row(43, "MKPAP", {small(kStackWords), small(kWords)}),
    row(44, "UNPACK", {small(kWords)}),
    row(45, "PACK", {wide(kInfoTable), small(kWords)}),
    row(46, "TESTLT_I", {wide(kLiteral), wide(kLabel)}),
    row(47, "TESTEQ_I", {wide(kLiteral), wide(kLabel)}),
    row(48, "TESTLT_F", {wide(kLiteral), wide(kLabel)}),
    row(49, "TESTEQ_F", {wide(kLiteral), wide(kLabel)}),
    row(50, "TESTLT_D", {wide(kLiteral), wide(kLabel)}),
    row(51, "TESTEQ_D", {wide(kLiteral), wide(kLabel)}),
    row(52, "TESTLT_P", {small(kConstructorTag), wide(kLabel)}),
    row(53, "TESTEQ_P", {small(kConstructorTag), wide(kLabel)}),
    leave(54, "CASEFAIL"),
    leave(55, "JMP", {wide(kLabel)}),
    row(56, "CCALL", {small(kWords), wide(kForeignCall), small(kFlags)}),
    row(57, "SWIZZLE", {small(kStackWords), small(kSignedNumber)}),
    leave(58, "ENTER"),
    leave(59, "RETURN"),
    leave(60, "RETURN_P"),
    leave(61, "RETURN_N"),
    leave(62, "RETURN_F"),
    leave(63, "RETURN_D"),
    leave(64, "RETURN_L"),
    leave(65, "RETURN_V"),
    row(66, "BRK_FUN", {wide(kBreakArray), small(kBreakIndex), wide(kLiteral), wide(kCostCentre)}),
    row(67, "TESTLT_W", {wide(kLiteral), wide(kLabel)}),
    row(68, "TESTEQ_W", {wide(kLiteral), wide(kLabel)}),
};

// Unboxed tuples, integers of all sizes, and calls of Cmm functions are new. What PUSH_ALTS and RETURN did
// is done by PUSH_ALTS_P and RETURN_P.
constexpr std::initializer_list<uint8_t> kRemoved966 = {12, 59};
constexpr InstructionInfo kRows966[] = {
    leave(69, "RETURN_T"),
    row(70, "PUSH_ALTS_T", {wide(kContinuation), wide(kTupleInfo), wide(kTupleBco)}),
    row(71, "TESTLT_I64", {wide(kLiteral), wide(kLabel)}),
    row(72, "TESTEQ_I64", {wide(kLiteral), wide(kLabel)}),
    row(73, "TESTLT_I32", {wide(kLiteral), wide(kLabel)}),
    row(74, "TESTEQ_I32", {wide(kLiteral), wide(kLabel)}),
    row(75, "TESTLT_I16", {wide(kLiteral), wide(kLabel)}),
    row(76, "TESTEQ_I16", {wide(kLiteral), wide(kLabel)}),
    row(77, "TESTLT_I8", {wide(kLiteral), wide(kLabel)}),
    row(78, "TESTEQ_I8", {wide(kLiteral), wide(kLabel)}),
    row(79, "TESTLT_W64", {wide(kLiteral), wide(kLabel)}),
    row(80, "TESTEQ_W64", {wide(kLiteral), wide(kLabel)}),
    row(81, "TESTLT_W32", {wide(kLiteral), wide(kLabel)}),
    row(82, "TESTEQ_W32", {wide(kLiteral), wide(kLabel)}),
    row(83, "TESTLT_W16", {wide(kLiteral), wide(kLabel)}),
    row(84, "TESTEQ_W16", {wide(kLiteral), wide(kLabel)}),
    row(85, "TESTLT_W8", {wide(kLiteral), wide(kLabel)}),
    row(86, "TESTEQ_W8", {wide(kLiteral), wide(kLabel)}),
    leave(87, "PRIMCALL"),
};

// The numbers are those of 9.6.6. Offsets and sizes can be large, and breakpoints name their modules.
constexpr InstructionInfo kRows9103[] = {
    row(2, "PUSH_L", {wide(kStackWords)}),
    row(3, "PUSH_LL", {wide(kStackWords), wide(kStackWords)}),
    row(4, "PUSH_LLL", {wide(kStackWords), wide(kStackWords), wide(kStackWords)}),
    row(5, "PUSH8", {wide(kStackBytes)}),
    row(6, "PUSH16", {wide(kStackBytes)}),
    row(7, "PUSH32", {wide(kStackBytes)}),
    row(8, "PUSH8_W", {wide(kStackBytes)}),
    row(9, "PUSH16_W", {wide(kStackBytes)}),
    row(10, "PUSH32_W", {wide(kStackBytes)}),
    row(25, "PUSH_UBX", {wide(kLiteralRange), wide(kWords)}),
    row(38, "SLIDE", {wide(kWords), wide(kWords)}),
    row(39, "ALLOC_AP", {wide(kWords)}),
    row(40, "ALLOC_AP_NOUPD", {wide(kWords)}),
    row(41, "ALLOC_PAP", {wide(kArity), wide(kWords)}),
    row(42, "MKAP", {wide(kStackWords), wide(kWords)}),
    row(43, "MKPAP", {wide(kStackWords), wide(kWords)}),
    row(44, "UNPACK", {wide(kWords)}),
    row(45, "PACK", {wide(kInfoTable), wide(kWords)}),
    row(56, "CCALL", {wide(kWords), wide(kForeignCall), small(kFlags)}),
    row(57, "SWIZZLE", {wide(kStackWords), wide(kSignedNumber)}),
    row(66, "BRK_FUN",
        {wide(kBreakArray), wide(kModuleName), wide(kModuleName), small(kBreakIndex), small(kInfoIndex),
         wide(kCostCentre)}),
};

}  // namespace

constexpr InstructionSet kInstructions902{kRows902};
constexpr InstructionSet kInstructions966{kInstructions902, kRemoved966, kRows966};
constexpr InstructionSet kInstructions9103{kInstructions966, {}, kRows9103};

}  // namespace splicehost::bytecode
