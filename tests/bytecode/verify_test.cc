#include "bytecode/verify.h"

#include <gtest/gtest.h>

#include "tests/bytecode/encode.h"

namespace splicehost::bytecode {
namespace {

using testing::BcoSource;
using testing::encode;
using testing::kGhc902;
using testing::kGhc9103;
using testing::kGhc966;

constexpr uint16_t kStkCheck = 1, kPushL = 2, kPushG = 11, kPushAlts = 12, kPushUbx = 25, kPack = 45, kTestEqI = 47,
                   kTestEqP = 53, kCaseFail = 54, kJmp = 55, kCCall = 56, kEnter = 58, kReturn = 59, kBrkFun = 66,
                   kReturnT = 69, kPushAltsT = 70, kTestEqI8 = 78, kPrimCall = 87, kLarge = 0x8000;

// What verify() says of a set: "" if it is fine.
std::string check(const std::vector<BcoSource>& bcos, const BcoFormat& format = kGhc902) {
  const testing::Buffer buffer = encode(bcos, format);
  const Bytes chunk(buffer);
  const Result<BcoSet> set = decodeBcos({&chunk, 1}, format);
  if (!set.ok()) return "not decoded: " + set.error().message;
  const Status status = verify(*set, format);
  return status.ok() ? "" : status.error().message;
}

BcoSource code(std::vector<uint16_t> instructions) {
  BcoSource bco;
  bco.instructions = std::move(instructions);
  return bco;
}

TEST(Verify, AcceptsAnEmptySet) { EXPECT_EQ(check({}), ""); }

TEST(Verify, AcceptsWhatGhcEmits) {
  BcoSource alternatives = code({kTestEqP, 1, 4, kEnter, kTestEqI, 0, 8, kEnter, kCaseFail});
  alternatives.literals = {5};
  alternatives.bitmap = {65, 0, 0};
  BcoSource bco = code({kBrkFun, 0, 3, 0, 1, kPushAlts, 1, kPushG, 2, kPushUbx, 0, 2, kPack, 1, 0, kEnter});
  bco.arity = 2;
  bco.bitmap = {1, 1};
  bco.literals = {7, 0x1000};
  bco.breakArray(1).nested(alternatives).bcoOfSet(0);
  EXPECT_EQ(check({bco}), "");
}

TEST(Verify, AcceptsPushesOfEveryClosure) {
  BcoSource bco = code({kPushG, 0, kPushG, 1, kPushG, 2, kPushG, 3, kEnter});
  bco.bcoOfSet(0).remote(1).staticClosure(1).nested(code({kEnter}));
  EXPECT_EQ(check({bco}), "");
}

TEST(Verify, ChecksArity) {
  BcoSource bco = code({kEnter});
  bco.arity = 0xffffffff;
  EXPECT_EQ(check({bco}), "");
  bco.arity = 0x100000000;
  EXPECT_EQ(check({bco}), "BCO 0: an arity of 4294967296");
  bco.arity = -1;
  EXPECT_EQ(check({bco}), "BCO 0: an arity of -1");
}

TEST(Verify, ChecksTheBitmapAgainstItsSize) {
  BcoSource bco = code({kEnter});
  bco.arity = 1;
  bco.bitmap = {};
  EXPECT_EQ(check({bco}), "BCO 0: a bitmap without its size");
  bco.bitmap = {64};
  EXPECT_EQ(check({bco}), "BCO 0: a bitmap of size 64 in 0 words instead of 1");
  bco.bitmap = {64, 0};
  EXPECT_EQ(check({bco}), "");
  bco.bitmap = {65, 0};
  EXPECT_EQ(check({bco}), "BCO 0: a bitmap of size 65 in 1 words instead of 2");
  bco.bitmap = {64, 0, 0};
  EXPECT_EQ(check({bco}), "BCO 0: a bitmap of size 64 in 2 words instead of 1");
  bco.bitmap = {~uint64_t{0}};
  EXPECT_EQ(check({bco}), "BCO 0: a bitmap of size 18446744073709551615");
}

TEST(Verify, ChecksThatThunksHaveNoPayload) {
  BcoSource bco = code({kEnter});
  bco.bitmap = {1, 0};
  EXPECT_EQ(check({bco}), "BCO 0: a bitmap of size 1 at top level with arity 0");
  BcoSource holder = code({kPushG, 0, kEnter});
  holder.nested(bco);
  EXPECT_EQ(check({holder}), "");
}

TEST(Verify, ChecksReferencesWithinTheSet) {
  BcoSource bco = code({kPushG, 0, kEnter});
  bco.remote(1).bcoOfSet(2);
  EXPECT_EQ(check({bco, code({kEnter})}), "BCO 0, pointer 1: BCO 2 of 2");
  EXPECT_EQ(check({bco, code({kEnter}), code({kEnter})}), "");
}

TEST(Verify, ChecksStaticPointers) {
  BcoSource bco = code({kPushG, 0, kEnter});
  bco.staticClosure(0);
  EXPECT_EQ(check({bco}), "BCO 0, pointer 0: a null static pointer");
}

TEST(Verify, ChecksLiterals) {
  BcoSource bco = code({kPushUbx, 1, 2, kEnter});
  bco.literals = {1, 2, 3};
  EXPECT_EQ(check({bco}), "");
  bco.literals = {1, 2};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (PUSH_UBX): 2 words from literal 1 of 2");
  bco.instructions = {kTestEqI, 2, 3, kEnter};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (TESTEQ_I): literal 2 of 2");
}

TEST(Verify, ChecksLargeLiteralRanges) {
  BcoSource bco = code({kLarge | kPushUbx, 0xffff, 0xffff, 0xffff, 0xffff, 2, kEnter});
  bco.literals = {1, 2, 3};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (PUSH_UBX): 2 words from literal 18446744073709551615 of 3");
}

TEST(Verify, ChecksAddressesThatAreFollowed) {
  BcoSource bco = code({kPushL, 0, kPack, 0, 1, kEnter});
  bco.literals = {0};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 2 (PACK): literal 0 is null");
  bco.instructions = {kCCall, 1, 0, 0, kEnter};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (CCALL): literal 0 is null");
  bco.literals = {0x1000};
  EXPECT_EQ(check({bco}), "");
}

TEST(Verify, ChecksPointers) {
  BcoSource bco = code({kPushL, 3, kPushG, 9, kEnter});
  bco.remote(1).remote(2).remote(3).remote(4);
  EXPECT_EQ(check({code({kEnter}), bco}), "BCO 1, instruction 2 (PUSH_G): pointer 9 of 4");
  bco.instructions = {kLarge | kPushG, 0, 0, 0, 3, kEnter};
  EXPECT_EQ(check({bco}), "");
  bco.instructions = {kLarge | kPushG, 0, 0, 1, 3, kEnter};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (PUSH_G): pointer 65539 of 4");
}

TEST(Verify, ChecksKindsOfPointers) {
  BcoSource bco = code({kPushG, 0, kEnter});
  bco.breakArray(1).remote(1).bcoOfSet(0);
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (PUSH_G): pointer 0 is a break array");
  bco.instructions = {kPushAlts, 1, kEnter};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (PUSH_ALTS): pointer 1 is a remote reference, not a nested BCO");
  // A thunk, or a function that may be another object than the BCO by the time it is used.
  bco.instructions = {kPushAlts, 2, kEnter};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (PUSH_ALTS): pointer 2 is a BCO of the set, not a nested BCO");
  bco.instructions = {kBrkFun, 1, 0, 0, 0, kEnter};
  EXPECT_EQ(check({bco}), "BCO 0, instruction 0 (BRK_FUN): pointer 1 is a remote reference, not a break array");
}

TEST(Verify, NamesNestedBcos) {
  BcoSource inner = code({kPushG, 0, kEnter});
  BcoSource middle = code({kPushAlts, 1, kEnter});
  middle.remote(1).nested(inner);
  BcoSource outer = code({kPushAlts, 0, kEnter});
  outer.nested(middle);
  EXPECT_EQ(check({code({kEnter}), outer}), "BCO 1, pointer 0, pointer 1, instruction 0 (PUSH_G): pointer 0 of 0");
}

TEST(Verify, ChecksTheEndOfTheInstructions) {
  EXPECT_EQ(check({code({})}), "BCO 0: no instructions");
  EXPECT_EQ(check({code({kEnter, 37})}), "BCO 0, instruction 1: unknown opcode 37");
  EXPECT_EQ(check({code({kEnter, kPushL})}), "BCO 0, instruction 1: goes beyond the last of 2 halfwords");
  EXPECT_EQ(check({code({kEnter, kPushL, 0})}), "BCO 0, instruction 1 (PUSH_L): the last one, goes on");
  for (uint16_t leaving = 58; leaving <= 65; ++leaving) EXPECT_EQ(check({code({leaving})}), "");
}

TEST(Verify, ChecksJumps) {
  EXPECT_EQ(check({code({kJmp, 0})}), "");
  EXPECT_EQ(check({code({kJmp, 1})}), "BCO 0, instruction 0 (JMP): no instruction starts at halfword 1 of 2");
  EXPECT_EQ(check({code({kStkCheck, 60, kTestEqP, 1, 6, kEnter})}),
            "BCO 0, instruction 2 (TESTEQ_P): no instruction starts at halfword 6 of 6");
  EXPECT_EQ(check({code({kLarge | kJmp, 0, 0, 0, 5, kEnter})}), "");
  EXPECT_EQ(check({code({kLarge | kJmp, 0, 0, 1, 5, kEnter})}),
            "BCO 0, instruction 0 (JMP): no instruction starts at halfword 65541 of 6");
}

// --- Later versions ------------------------------------------------------------------------------

TEST(Verify, KnowsWhichVersionHasWhat) {
  for (const uint16_t opcode : {kReturn, kReturnT, kPrimCall}) {
    const std::string unknown = "BCO 0, instruction 0: unknown opcode " + std::to_string(opcode);
    EXPECT_EQ(check({code({opcode})}, kGhc902), opcode == kReturn ? "" : unknown);
    EXPECT_EQ(check({code({opcode})}, kGhc966), opcode == kReturn ? unknown : "");
    EXPECT_EQ(check({code({opcode})}, kGhc9103), opcode == kReturn ? unknown : "");
  }
  BcoSource pushAlts = code({kPushAlts, 0, kEnter});
  pushAlts.nested(code({kEnter}));
  EXPECT_EQ(check({pushAlts}, kGhc902), "");
  EXPECT_EQ(check({pushAlts}, kGhc966), "BCO 0, instruction 0: unknown opcode 12");
  BcoSource test = code({kTestEqI8, 0, 3, kEnter});
  test.literals = {7};
  EXPECT_EQ(check({test}, kGhc902), "BCO 0, instruction 0: unknown opcode 78");
  EXPECT_EQ(check({test}, kGhc966), "");
  test.instructions[2] = 2;
  EXPECT_EQ(check({test}, kGhc966), "BCO 0, instruction 0 (TESTEQ_I8): no instruction starts at halfword 2 of 4");
}

TEST(Verify, ChecksUnboxedTuples) {
  for (const BcoFormat* format : {&kGhc966, &kGhc9103}) {
    auto tuple = [](uint64_t info) {
      BcoSource bco = code({kPushAltsT, 0, 0, 1, kEnter});
      bco.literals = {info};
      bco.nested(code({kEnter})).nested(code({kReturnT})).remote(1);
      return bco;
    };
    EXPECT_EQ(check({tuple(0)}, *format), "");
    EXPECT_EQ(check({tuple(62 << 24 | 0xffffff)}, *format), "");
    EXPECT_EQ(check({tuple(63 << 24)}, *format),
              "BCO 0, instruction 0 (PUSH_ALTS_T): a tuple of 63 words on the stack");
    BcoSource bad = tuple(0);
    bad.instructions = {kPushAltsT, 0, 1, 1, kEnter};
    EXPECT_EQ(check({bad}, *format), "BCO 0, instruction 0 (PUSH_ALTS_T): literal 1 of 1");
    bad.instructions = {kPushAltsT, 2, 0, 1, kEnter};
    EXPECT_EQ(check({bad}, *format),
              "BCO 0, instruction 0 (PUSH_ALTS_T): pointer 2 is a remote reference, not a nested BCO");
    bad.instructions = {kPushAltsT, 0, 0, 3, kEnter};
    EXPECT_EQ(check({bad}, *format), "BCO 0, instruction 0 (PUSH_ALTS_T): pointer 3 of 3");
  }
}

TEST(Verify, ChecksBreakpointsThatNameTheirModules) {
  BcoSource bco = code({kBrkFun, 0, 0, 1, 7, 9, 2, kEnter});
  bco.breakArray(1);
  bco.literals = {0x1000, 0x2000, 0};
  EXPECT_EQ(check({bco}, kGhc9103), "");
  bco.literals[1] = 0;
  EXPECT_EQ(check({bco}, kGhc9103), "BCO 0, instruction 0 (BRK_FUN): literal 1 is null");
  bco.literals = {0x1000, 0x2000};
  EXPECT_EQ(check({bco}, kGhc9103), "BCO 0, instruction 0 (BRK_FUN): literal 2 of 2");
}

// Where 9.6.6 has a halfword, 9.10.3 can have a word.
TEST(Verify, ReadsLargeOperandsAsTheVersionHasThem) {
  BcoSource bco = code({kLarge | kPushUbx, 0, 0, 0, 1, 0, 0, 0, 2, kEnter});
  bco.literals = {1, 2, 3};
  EXPECT_EQ(check({bco}, kGhc9103), "");
  EXPECT_EQ(check({bco}, kGhc966), "BCO 0, instruction 6: unknown opcode 0");
  bco.literals = {1, 2};
  EXPECT_EQ(check({bco}, kGhc9103), "BCO 0, instruction 0 (PUSH_UBX): 2 words from literal 1 of 2");
  bco.instructions = {kLarge | kPushUbx, 0, 0, 0, 1, 0xffff, 0xffff, 0xffff, 0xffff, kEnter};
  EXPECT_EQ(check({bco}, kGhc9103), "BCO 0, instruction 0 (PUSH_UBX): 18446744073709551615 words from literal 1 of 2");
}

}  // namespace
}  // namespace splicehost::bytecode
