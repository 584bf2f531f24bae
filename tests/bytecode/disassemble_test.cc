#include "bytecode/disassemble.h"

#include <gtest/gtest.h>

#include "tests/bytecode/encode.h"

namespace splicehost::bytecode {
namespace {

using testing::BcoSource;
using testing::encode;
using testing::kGhc902;
using testing::kGhc9103;
using testing::kGhc966;

std::string listing(const std::vector<BcoSource>& bcos, const BcoFormat& format = kGhc902) {
  const testing::Buffer buffer = encode(bcos, format);
  const Bytes chunk(buffer);
  const Result<BcoSet> set = decodeBcos({&chunk, 1}, format);
  return set.ok() ? disassemble(*set, format) : "not decoded: " + set.error().message;
}

TEST(Disassemble, SaysWhatOperandsReferTo) {
  BcoSource alternatives;
  alternatives.instructions = {53, 2, 4, 58, 54};
  alternatives.bitmap = {3, 0b101};
  BcoSource bco;
  bco.arity = 1;
  bco.bitmap = {1, 0};
  bco.instructions = {66, 0, 4, 0, 1, 12, 1, 0x8000 | 11, 0, 0, 0, 2, 2, 3, 57, 1, 0xfff0, 58};
  bco.literals = {0x2a, 0};
  bco.breakArray(0x77).nested(alternatives).staticClosure(0x4000);
  EXPECT_EQ(listing({bco}),
            "BCO 0, pointer 1: arity 0, bitmap 3 npn\n"
            "  0   TESTEQ_P       tag 2, to 4\n"
            "  3   ENTER\n"
            "  4   CASEFAIL\n"
            "BCO 0: arity 1, bitmap 1 p\n"
            "  0   BRK_FUN        break array 0x77 (pointer 0), breakpoint 4, 0x2a (literal 0), "
            "cost centre 0x0 (literal 1)\n"
            "  5   PUSH_ALTS      nested BCO (pointer 1)\n"
            "  7   PUSH_G LARGE   static 0x4000 (pointer 2)\n"
            "  12  PUSH_L         Sp[3]\n"
            "  14  SWIZZLE        Sp[1], -16\n"
            "  17  ENTER\n");
}

TEST(Disassemble, SaysWhatLaterVersionsMean) {
  BcoSource alternatives;
  alternatives.instructions = {69};
  BcoSource bco;
  bco.instructions = {70, 0, 0, 1, 57, 1, 0xfff0, 78, 1, 10, 87, 58};
  bco.literals = {0x2000003, 7};
  bco.nested(alternatives).nested(alternatives);
  EXPECT_EQ(listing({bco}, kGhc966),
            "BCO 0, pointer 1: arity 0, bitmap 0\n"
            "  0   RETURN_T\n"
            "BCO 0, pointer 0: arity 0, bitmap 0\n"
            "  0   RETURN_T\n"
            "BCO 0: arity 0, bitmap 0\n"
            "  0   PUSH_ALTS_T    nested BCO (pointer 0), tuple 0x2000003 (literal 0), "
            "nested BCO (pointer 1)\n"
            "  4   SWIZZLE        Sp[1], -16\n"
            "  7   TESTEQ_I8      0x7 (literal 1), to 10\n"
            "  10  PRIMCALL\n"
            "  11  ENTER\n");

  BcoSource stop;
  stop.instructions = {66,          0, 0, 1, 4, 5,      2,      57,     1,      0xfff0,
                       0x8000 | 57, 0, 0, 0, 1, 0xffff, 0xffff, 0xffff, 0xfff0, 58};
  stop.literals = {0x1000, 0x2000, 0};
  stop.breakArray(0x77);
  EXPECT_EQ(listing({stop}, kGhc9103),
            "BCO 0: arity 0, bitmap 0\n"
            "  0   BRK_FUN        break array 0x77 (pointer 0), module name 0x1000 (literal 0), "
            "module name 0x2000 (literal 1), breakpoint 4, place 5, cost centre 0x0 (literal 2)\n"
            "  7   SWIZZLE        Sp[1], 65520\n"
            "  10  SWIZZLE LARGE  Sp[1], -16\n"
            "  19  ENTER\n");
}

TEST(Disassemble, ShowsWhatVerificationRefuses) {
  BcoSource bco;
  bco.bitmap = {200, 0};
  bco.instructions = {11, 9, 25, 8, 2, 37};
  EXPECT_EQ(listing({bco}),
            "BCO 0: arity 0, bitmap 200 "
            "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp...\n"
            "  0   PUSH_G         missing (pointer 9)\n"
            "  2   PUSH_UBX       missing (literal 8), 2 words\n"
            "  5   unknown opcode 37\n");
  bco.bitmap = {};
  bco.instructions = {11};
  EXPECT_EQ(listing({bco}),
            "BCO 0: arity 0, bitmap missing\n"
            "  0   cut off: opcode 11\n");
}

}  // namespace
}  // namespace splicehost::bytecode
