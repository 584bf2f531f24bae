#include "bytecode/instruction_set.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "bytecode/format.h"
#include "tests/bytecode/encode.h"

namespace splicehost::bytecode {
namespace {

using Step = InstructionReader::Step;

constexpr uint16_t kLarge = 0x8000;

Bytes bytesOf(const std::vector<uint16_t>& halfwords) { return std::as_bytes(std::span(halfwords)); }

class InstructionSets : public ::testing::TestWithParam<BcoFormat> {};

// Numbers and names by this table, and by what the RTS's header defines (recorded/README.md).
TEST_P(InstructionSets, HaveTheInstructionsOfBytecodesH) {
  std::map<int, std::string> expected;
  std::ifstream file(std::string(SPLICEHOST_RECORDED_BCOS) + "/" + std::string(GetParam().ghc) + "/instructions.txt");
  std::string name;
  for (int number; file >> number >> name;) {
    expected[number] = name;
  }
  EXPECT_GT(expected.size(), 60u);
  std::map<int, std::string> known;
  for (int opcode = 0; opcode < 256; ++opcode) {
    const InstructionInfo* info = GetParam().instructions.find(static_cast<uint8_t>(opcode));
    if (info == nullptr) continue;
    EXPECT_EQ(info->opcode, opcode);
    known[opcode] = info->name;
    // The verifier and the disassembler look for a range's count in the operand after it.
    for (size_t i = 0; i < info->operandCount; ++i) {
      if (info->operands[i].kind == OperandKind::kLiteralRange) {
        ASSERT_LT(i + 1, info->operandCount) << info->name;
        EXPECT_EQ(info->operands[i + 1].kind, OperandKind::kWords) << info->name;
      }
    }
  }
  EXPECT_EQ(known, expected);
}

INSTANTIATE_TEST_SUITE_P(Versions, InstructionSets, ::testing::ValuesIn(formats().begin(), formats().end()),
                         [](const auto& info) { return testing::testName(info.param.ghc); });

TEST(InstructionReader, ReadsOneHalfwordPerSmallOperand) {
  const std::vector<uint16_t> code{66, 1, 2, 3, 4, 58};  // BRK_FUN, ENTER
  InstructionReader reader(bytesOf(code), kInstructions902);
  Instruction instruction{};
  ASSERT_EQ(reader.next(instruction), Step::kInstruction);
  EXPECT_EQ(instruction.info->name, "BRK_FUN");
  EXPECT_FALSE(instruction.large);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(instruction.operands[i], i + 1);
  ASSERT_EQ(reader.next(instruction), Step::kInstruction);
  EXPECT_EQ(instruction.info->name, "ENTER");
  EXPECT_EQ(instruction.offset, 5u);
  EXPECT_TRUE(instruction.info->leaves);
  EXPECT_EQ(reader.next(instruction), Step::kEnd);
  EXPECT_EQ(reader.next(instruction), Step::kEnd);
}

// A large instruction's operands are words, but for those that always fit a halfword.
TEST(InstructionReader, ReadsFourHalfwordsPerLargeOperand) {
  const std::vector<uint16_t> code{kLarge | 66, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 7, 8};
  InstructionReader reader(bytesOf(code), kInstructions902);
  Instruction instruction{};
  ASSERT_EQ(reader.next(instruction), Step::kInstruction);
  EXPECT_TRUE(instruction.large);
  EXPECT_EQ(instruction.operands[0], 0x0000'0000'0001'0002u);
  EXPECT_EQ(instruction.operands[1], 3u);
  EXPECT_EQ(instruction.operands[2], 4u);
  EXPECT_EQ(instruction.operands[3], 0x0005'0006'0007'0008u);
  EXPECT_EQ(reader.next(instruction), Step::kEnd);
}

TEST(InstructionReader, StopsWithinAnInstruction) {
  const std::vector<uint16_t> code{58, kLarge | 11, 0, 0, 0};
  InstructionReader reader(bytesOf(code), kInstructions902);
  Instruction instruction{};
  ASSERT_EQ(reader.next(instruction), Step::kInstruction);
  EXPECT_EQ(reader.next(instruction), Step::kTruncated);
  EXPECT_EQ(reader.offset(), 1u);
}

TEST(InstructionReader, StopsAtUnknownOpcodes) {
  for (const uint16_t opcode : {0, 37, 69, 255, 0x0100 | 58, 0x4000 | 58, 0xc000 | 11}) {
    const std::vector<uint16_t> code{opcode, 0, 0, 0, 0, 0};
    InstructionReader reader(bytesOf(code), kInstructions902);
    Instruction instruction{};
    EXPECT_EQ(reader.next(instruction), Step::kUnknown) << opcode;
  }
}

}  // namespace
}  // namespace splicehost::bytecode
