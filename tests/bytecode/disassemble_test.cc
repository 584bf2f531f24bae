#include "bytecode/disassemble.h"

#include <gtest/gtest.h>

#include "tests/bytecode/encode.h"

namespace splicehost::bytecode {
namespace {

using testing::BcoSource;
using testing::encode;

std::string listing(const std::vector<BcoSource>& bcos) {
  const testing::Buffer buffer = encode(bcos);
  const Bytes chunk(buffer);
  const Result<BcoSet> set = decodeBcos({&chunk, 1}, kGhc902);
  return set.ok() ? disassemble(*set, kGhc902) : "not decoded: " + set.error().message;
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
