#include "bytecode/instruction_set.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace splicehost::bytecode {
namespace {

using Step = InstructionReader::Step;

constexpr uint16_t kLarge = 0x8000;

Bytes bytesOf(const std::vector<uint16_t>& halfwords) {
  return std::as_bytes(std::span(halfwords));
}

struct Expected {
  const InstructionSet& set;
  int count;
  std::vector<uint8_t> unknown;
  uint8_t last;
  const char* lastName;
};

TEST(InstructionSets, HaveTheInstructionsOfBytecodesH) {
  const Expected expected[] = {
      {kInstructions902, 67, {0, 37, 69}, 68, "TESTEQ_W"},
      {kInstructions966, 84, {0, 12, 37, 59, 88}, 87, "PRIMCALL"},
      {kInstructions9103, 84, {0, 12, 37, 59, 88}, 87, "PRIMCALL"},
  };
  for (const Expected& each : expected) {
    int known = 0;
    std::set<std::string_view> names;
    for (int opcode = 0; opcode < 256; ++opcode) {
      const InstructionInfo* info = each.set.find(static_cast<uint8_t>(opcode));
      if (info == nullptr) continue;
      ++known;
      EXPECT_EQ(info->opcode, opcode);
      names.insert(info->name);
      // The verifier and the disassembler look for a range's count in the operand after it.
      for (size_t i = 0; i < info->operandCount; ++i) {
        if (info->operands[i].kind == OperandKind::LiteralRange) {
          ASSERT_LT(i + 1, info->operandCount) << info->name;
          EXPECT_EQ(info->operands[i + 1].kind, OperandKind::Words) << info->name;
        }
      }
    }
    EXPECT_EQ(known, each.count);
    EXPECT_EQ(names.size(), static_cast<size_t>(each.count));
    for (const uint8_t opcode : each.unknown) EXPECT_EQ(each.set.find(opcode), nullptr);
    EXPECT_EQ(each.set.find(each.last)->name, each.lastName);
  }
}

TEST(InstructionReader, ReadsOneHalfwordPerSmallOperand) {
  const std::vector<uint16_t> code{66, 1, 2, 3, 4, 58};  // BRK_FUN, ENTER
  InstructionReader reader(bytesOf(code), kInstructions902);
  Instruction instruction{};
  ASSERT_EQ(reader.next(instruction), Step::Instruction);
  EXPECT_EQ(instruction.info->name, "BRK_FUN");
  EXPECT_FALSE(instruction.large);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(instruction.operands[i], i + 1);
  ASSERT_EQ(reader.next(instruction), Step::Instruction);
  EXPECT_EQ(instruction.info->name, "ENTER");
  EXPECT_EQ(instruction.offset, 5u);
  EXPECT_TRUE(instruction.info->leaves);
  EXPECT_EQ(reader.next(instruction), Step::End);
  EXPECT_EQ(reader.next(instruction), Step::End);
}

// A large instruction's operands are words, but for those that always fit a halfword.
TEST(InstructionReader, ReadsFourHalfwordsPerLargeOperand) {
  const std::vector<uint16_t> code{kLarge | 66, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 7, 8};
  InstructionReader reader(bytesOf(code), kInstructions902);
  Instruction instruction{};
  ASSERT_EQ(reader.next(instruction), Step::Instruction);
  EXPECT_TRUE(instruction.large);
  EXPECT_EQ(instruction.operands[0], 0x0000'0000'0001'0002u);
  EXPECT_EQ(instruction.operands[1], 3u);
  EXPECT_EQ(instruction.operands[2], 4u);
  EXPECT_EQ(instruction.operands[3], 0x0005'0006'0007'0008u);
  EXPECT_EQ(reader.next(instruction), Step::End);
}

TEST(InstructionReader, StopsWithinAnInstruction) {
  const std::vector<uint16_t> code{58, kLarge | 11, 0, 0, 0};
  InstructionReader reader(bytesOf(code), kInstructions902);
  Instruction instruction{};
  ASSERT_EQ(reader.next(instruction), Step::Instruction);
  EXPECT_EQ(reader.next(instruction), Step::Truncated);
  EXPECT_EQ(reader.offset(), 1u);
}

TEST(InstructionReader, StopsAtUnknownOpcodes) {
  for (const uint16_t opcode : {0, 37, 69, 255, 0x0100 | 58, 0x4000 | 58, 0xc000 | 11}) {
    const std::vector<uint16_t> code{opcode, 0, 0, 0, 0, 0};
    InstructionReader reader(bytesOf(code), kInstructions902);
    Instruction instruction{};
    EXPECT_EQ(reader.next(instruction), Step::Unknown) << opcode;
  }
}

}  // namespace
}  // namespace splicehost::bytecode
