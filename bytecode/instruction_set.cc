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
    row(1, "STKCHECK", {wide(Words)}),
    row(2, "PUSH_L", {small(StackWords)}),
    row(3, "PUSH_LL", {small(StackWords), small(StackWords)}),
    row(4, "PUSH_LLL", {small(StackWords), small(StackWords), small(StackWords)}),
    row(5, "PUSH8", {small(StackBytes)}),
    row(6, "PUSH16", {small(StackBytes)}),
    row(7, "PUSH32", {small(StackBytes)}),
    row(8, "PUSH8_W", {small(StackBytes)}),
    row(9, "PUSH16_W", {small(StackBytes)}),
    row(10, "PUSH32_W", {small(StackBytes)}),
    row(11, "PUSH_G", {wide(Closure)}),
    row(12, "PUSH_ALTS", {wide(Continuation)}),
    row(13, "PUSH_ALTS_P", {wide(Continuation)}),
    row(14, "PUSH_ALTS_N", {wide(Continuation)}),
    row(15, "PUSH_ALTS_F", {wide(Continuation)}),
    row(16, "PUSH_ALTS_D", {wide(Continuation)}),
    row(17, "PUSH_ALTS_L", {wide(Continuation)}),
    row(18, "PUSH_ALTS_V", {wide(Continuation)}),
    row(19, "PUSH_PAD8"),
    row(20, "PUSH_PAD16"),
    row(21, "PUSH_PAD32"),
    row(22, "PUSH_UBX8", {wide(Literal)}),
    row(23, "PUSH_UBX16", {wide(Literal)}),
    row(24, "PUSH_UBX32", {wide(Literal)}),
    row(25, "PUSH_UBX", {wide(LiteralRange), small(Words)}),
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
    row(38, "SLIDE", {small(Words), small(Words)}),
    row(39, "ALLOC_AP", {small(Words)}),
    row(40, "ALLOC_AP_NOUPD", {small(Words)}),
    row(41, "ALLOC_PAP", {small(Arity), small(Words)}),
    row(42, "MKAP", {small(StackWords), small(Words)}),
    row(43, "MKPAP", {small(StackWords), small(Words)}),
    row(44, "UNPACK", {small(Words)}),
    row(45, "PACK", {wide(InfoTable), small(Words)}),
    row(46, "TESTLT_I", {wide(Literal), wide(Label)}),
    row(47, "TESTEQ_I", {wide(Literal), wide(Label)}),
    row(48, "TESTLT_F", {wide(Literal), wide(Label)}),
    row(49, "TESTEQ_F", {wide(Literal), wide(Label)}),
    row(50, "TESTLT_D", {wide(Literal), wide(Label)}),
    row(51, "TESTEQ_D", {wide(Literal), wide(Label)}),
    row(52, "TESTLT_P", {small(ConstructorTag), wide(Label)}),
    row(53, "TESTEQ_P", {small(ConstructorTag), wide(Label)}),
    leave(54, "CASEFAIL"),
    leave(55, "JMP", {wide(Label)}),
    row(56, "CCALL", {small(Words), wide(ForeignCall), small(Flags)}),
    row(57, "SWIZZLE", {small(StackWords), small(SignedNumber)}),
    leave(58, "ENTER"),
    leave(59, "RETURN"),
    leave(60, "RETURN_P"),
    leave(61, "RETURN_N"),
    leave(62, "RETURN_F"),
    leave(63, "RETURN_D"),
    leave(64, "RETURN_L"),
    leave(65, "RETURN_V"),
    row(66, "BRK_FUN", {wide(BreakArray), small(BreakIndex), wide(Literal), wide(CostCentre)}),
    row(67, "TESTLT_W", {wide(Literal), wide(Label)}),
    row(68, "TESTEQ_W", {wide(Literal), wide(Label)}),
};

// Unboxed tuples, integers of all sizes, and calls of Cmm functions are new. What PUSH_ALTS and RETURN did
// is done by PUSH_ALTS_P and RETURN_P.
constexpr std::initializer_list<uint8_t> kRemoved966 = {12, 59};
constexpr InstructionInfo kRows966[] = {
    leave(69, "RETURN_T"),
    row(70, "PUSH_ALTS_T", {wide(Continuation), wide(TupleInfo), wide(TupleBco)}),
    row(71, "TESTLT_I64", {wide(Literal), wide(Label)}),
    row(72, "TESTEQ_I64", {wide(Literal), wide(Label)}),
    row(73, "TESTLT_I32", {wide(Literal), wide(Label)}),
    row(74, "TESTEQ_I32", {wide(Literal), wide(Label)}),
    row(75, "TESTLT_I16", {wide(Literal), wide(Label)}),
    row(76, "TESTEQ_I16", {wide(Literal), wide(Label)}),
    row(77, "TESTLT_I8", {wide(Literal), wide(Label)}),
    row(78, "TESTEQ_I8", {wide(Literal), wide(Label)}),
    row(79, "TESTLT_W64", {wide(Literal), wide(Label)}),
    row(80, "TESTEQ_W64", {wide(Literal), wide(Label)}),
    row(81, "TESTLT_W32", {wide(Literal), wide(Label)}),
    row(82, "TESTEQ_W32", {wide(Literal), wide(Label)}),
    row(83, "TESTLT_W16", {wide(Literal), wide(Label)}),
    row(84, "TESTEQ_W16", {wide(Literal), wide(Label)}),
    row(85, "TESTLT_W8", {wide(Literal), wide(Label)}),
    row(86, "TESTEQ_W8", {wide(Literal), wide(Label)}),
    leave(87, "PRIMCALL"),
};

// The numbers are those of 9.6.6. Offsets and sizes can be large, and breakpoints name their modules.
constexpr InstructionInfo kRows9103[] = {
    row(2, "PUSH_L", {wide(StackWords)}),
    row(3, "PUSH_LL", {wide(StackWords), wide(StackWords)}),
    row(4, "PUSH_LLL", {wide(StackWords), wide(StackWords), wide(StackWords)}),
    row(5, "PUSH8", {wide(StackBytes)}),
    row(6, "PUSH16", {wide(StackBytes)}),
    row(7, "PUSH32", {wide(StackBytes)}),
    row(8, "PUSH8_W", {wide(StackBytes)}),
    row(9, "PUSH16_W", {wide(StackBytes)}),
    row(10, "PUSH32_W", {wide(StackBytes)}),
    row(25, "PUSH_UBX", {wide(LiteralRange), wide(Words)}),
    row(38, "SLIDE", {wide(Words), wide(Words)}),
    row(39, "ALLOC_AP", {wide(Words)}),
    row(40, "ALLOC_AP_NOUPD", {wide(Words)}),
    row(41, "ALLOC_PAP", {wide(Arity), wide(Words)}),
    row(42, "MKAP", {wide(StackWords), wide(Words)}),
    row(43, "MKPAP", {wide(StackWords), wide(Words)}),
    row(44, "UNPACK", {wide(Words)}),
    row(45, "PACK", {wide(InfoTable), wide(Words)}),
    row(56, "CCALL", {wide(Words), wide(ForeignCall), small(Flags)}),
    row(57, "SWIZZLE", {wide(StackWords), wide(SignedNumber)}),
    row(66, "BRK_FUN",
        {wide(BreakArray), wide(ModuleName), wide(ModuleName), small(BreakIndex), small(InfoIndex), wide(CostCentre)}),
};

}  // namespace

constexpr InstructionSet kInstructions902{kRows902};
constexpr InstructionSet kInstructions966{kInstructions902, kRemoved966, kRows966};
constexpr InstructionSet kInstructions9103{kInstructions966, {}, kRows9103};

}  // namespace splicehost::bytecode
