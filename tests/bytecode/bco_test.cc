#include "bytecode/bco.h"

#include <gtest/gtest.h>

#include "bytecode/format.h"
#include "protocol/ghc_versions.h"
#include "tests/bytecode/encode.h"

namespace splicehost::bytecode {
namespace {

using testing::BcoSource;
using testing::Buffer;
using testing::encode;
using testing::kGhc902;
using testing::kGhc9103;
using testing::putWord;

Result<BcoSet> decode(const std::vector<Buffer>& buffers, const BcoFormat& format = kGhc902) {
  const std::vector<Bytes> chunks(buffers.begin(), buffers.end());
  return decodeBcos(chunks, format);
}

std::string errorOf(const Result<BcoSet>& result) { return result.ok() ? "no error" : result.error().message; }

// A BCO can be told from others by its arity.
BcoSource withArity(int64_t arity) {
  BcoSource bco;
  bco.arity = arity;
  return bco;
}

TEST(DecodeBcos, NoByteStrings) {
  const Result<BcoSet> set = decodeBcos({}, kGhc902);
  ASSERT_TRUE(set.ok()) << errorOf(set);
  EXPECT_TRUE(set->bcos.empty());
  EXPECT_TRUE(set->topLevel.empty());
}

class DecodeBcosOf : public ::testing::TestWithParam<BcoFormat> {};

TEST_P(DecodeBcosOf, ReadsEveryField) {
  BcoSource bco;
  bco.arity = 3;
  bco.instructions = {11, 0, 58};
  bco.bitmap = {2, 1};
  bco.literals = {0x0102030405060708, 9};
  bco.bcoOfSet(1).remote(0x10).staticClosure(0x20).breakArray(0x30);
  const std::vector<Buffer> buffers{encode({bco}, GetParam())};
  const Result<BcoSet> set = decode(buffers, GetParam());
  ASSERT_TRUE(set.ok()) << errorOf(set);
  ASSERT_EQ(set->bcos.size(), 1u);
  const Bco& read = set->bcos[0];
  EXPECT_EQ(read.arity, 3);
  ASSERT_EQ(read.instructionHalfwords(), 3u);
  EXPECT_EQ(loadElement<uint16_t>(read.instructions, 2), 58);
  ASSERT_EQ(read.bitmapWords(), 2u);
  EXPECT_EQ(loadElement<uint64_t>(read.bitmap, 0), 2u);
  ASSERT_EQ(read.literalWords(), 2u);
  EXPECT_EQ(loadElement<uint64_t>(read.literals, 0), 0x0102030405060708u);
  const std::span<const BcoPointer> pointers = set->pointersOf(read);
  ASSERT_EQ(pointers.size(), 4u);
  EXPECT_EQ(pointers[0].kind, BcoPointer::Kind::kBcoOfSet);
  EXPECT_EQ(pointers[0].value, 1u);
  EXPECT_EQ(pointers[1].kind, BcoPointer::Kind::kRemoteReference);
  EXPECT_EQ(pointers[1].value, 0x10u);
  EXPECT_EQ(pointers[2].kind, BcoPointer::Kind::kStaticPointer);
  EXPECT_EQ(pointers[2].value, 0x20u);
  EXPECT_EQ(pointers[3].kind, BcoPointer::Kind::kBreakArray);
  EXPECT_EQ(pointers[3].value, 0x30u);
}

TEST(DecodeBcos, NumbersBcosAcrossByteStrings) {
  const std::vector<Buffer> buffers{encode({withArity(1), withArity(2)}), encode({}), encode({withArity(3)})};
  const Result<BcoSet> set = decode(buffers);
  ASSERT_TRUE(set.ok()) << errorOf(set);
  ASSERT_EQ(set->topLevel.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(set->bcos[set->topLevel[i]].arity, static_cast<int64_t>(i + 1));
  }
}

TEST(DecodeBcos, PutsNestedBcosBeforeTheirHolders) {
  BcoSource inner = withArity(12);
  inner.nested(withArity(11)).remote(7);
  BcoSource outer = withArity(10);
  outer.nested(inner).staticClosure(8).nested(withArity(13));
  const std::vector<Buffer> buffers{encode({withArity(1), outer, withArity(2)})};
  const Result<BcoSet> set = decode(buffers);
  ASSERT_TRUE(set.ok()) << errorOf(set);
  ASSERT_EQ(set->bcos.size(), 6u);
  EXPECT_EQ(set->bcos[set->topLevel[1]].arity, 10);
  for (uint32_t i = 0; i < set->bcos.size(); ++i) {
    for (const BcoPointer& pointer : set->pointersOf(set->bcos[i])) {
      if (pointer.kind == BcoPointer::Kind::kNestedBco) {
        EXPECT_LT(pointer.value, i);
      }
    }
  }
  const std::span<const BcoPointer> pointers = set->pointersOf(set->bcos[set->topLevel[1]]);
  ASSERT_EQ(pointers.size(), 3u);
  EXPECT_EQ(set->bcos[pointers[0].value].arity, 12);
  EXPECT_EQ(pointers[1].value, 8u);
  EXPECT_EQ(set->bcos[pointers[2].value].arity, 13);
  const std::span<const BcoPointer> innerPointers = set->pointersOf(set->bcos[pointers[0].value]);
  EXPECT_EQ(set->bcos[innerPointers[0].value].arity, 11);
  EXPECT_EQ(innerPointers[1].value, 7u);

  const BcoNames names(*set);
  EXPECT_EQ(names.of(set->topLevel[2]), "BCO 2");
  EXPECT_EQ(names.of(static_cast<uint32_t>(innerPointers[0].value)), "BCO 1, pointer 0, pointer 0");
}

// Each bind of an interpreted do block nests one deeper, so no depth is too deep.
TEST(DecodeBcos, NestingCostsNoStack) {
  constexpr size_t kDepth = 200'000;
  Buffer buffer;
  putWord(buffer, 1);
  Buffer fields;  // of a BCO with one pointer, which is a nested BCO
  BcoSource().put(fields);
  fields.resize(fields.size() - 16);
  for (size_t i = 0; i < kDepth; ++i) {
    buffer.insert(buffer.end(), fields.begin(), fields.end());
    putWord(buffer, 1);
    putWord(buffer, 1);
    buffer.push_back(std::byte{3});
  }
  BcoSource().put(buffer);
  const std::vector<Buffer> buffers{buffer};
  const Result<BcoSet> set = decode(buffers);
  ASSERT_TRUE(set.ok()) << errorOf(set);
  EXPECT_EQ(set->bcos.size(), kDepth + 1);
  EXPECT_EQ(BcoNames(*set).of(0),
            "BCO 0, ..., pointer 0, pointer 0, pointer 0, pointer 0, pointer 0, pointer 0, "
            "pointer 0, pointer 0");
}

TEST_P(DecodeBcosOf, RefusesInputThatEndsAnywhere) {
  BcoSource bco;
  bco.instructions = {58};
  bco.literals = {1};
  bco.nested(withArity(1)).remote(1);
  const Buffer whole = encode({bco, bco}, GetParam());
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::vector<Buffer> buffers{Buffer(whole.begin(), whole.begin() + size)};
    EXPECT_FALSE(decode(buffers, GetParam()).ok()) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, DecodeBcosOf, ::testing::ValuesIn(formats().begin(), formats().end()),
                         [](const auto& info) { return testing::testName(info.param.ghc); });

// What a message of one version means to another, if anything, is not guessed at.
TEST(DecodeBcos, RefusesTheArraysOfOtherVersions) {
  BcoSource bco;
  bco.instructions = {58};
  EXPECT_EQ(errorOf(decode({encode({bco}, kGhc902)}, kGhc9103)),
            "byte string 0, byte 41: BCO 0: the array of literals does not fit in what follows");
  EXPECT_EQ(errorOf(decode({encode({bco}, kGhc9103)}, kGhc902)),
            "byte string 0, byte 8: a list of 1 elements does not fit in what follows");
}

TEST(DecodeBcos, RefusesInputThatGoesOn) {
  Buffer buffer = encode({withArity(1)});
  buffer.push_back(std::byte{0});
  EXPECT_EQ(errorOf(decode({buffer})), "byte string 0, byte 89: 1 bytes follow the last BCO");
}

TEST(DecodeBcos, RefusesTheOtherByteOrder) {
  BcoSource bco;
  bco.littleEndian = !bco.littleEndian;
  EXPECT_EQ(errorOf(decode({encode({withArity(1)}), encode({bco})})),
            "byte string 1, byte 9: BCO 1: the BCO is for the other byte order");
}

TEST(DecodeBcos, RefusesUnknownPointers) {
  BcoSource bco;
  bco.staticClosure(1);
  Buffer buffer = encode({bco});
  buffer[buffer.size() - 9] = std::byte{5};
  EXPECT_EQ(errorOf(decode({buffer})), "byte string 0, byte 90: BCO 0: unknown kind of pointer 5");
}

TEST(DecodeBcos, RefusesPointerCountsThatDiffer) {
  Buffer buffer = encode({BcoSource()});
  buffer[buffer.size() - 9] = std::byte{1};  // the SizedSeq's size; its list is empty
  EXPECT_EQ(errorOf(decode({buffer})), "byte string 0, byte 89: BCO 0: a sequence of 1 pointers holds 0");
}

TEST(DecodeBcos, RefusesArraysThatDoNotStartAtZero) {
  Buffer buffer = encode({BcoSource()});
  buffer[8 + 1 + 8 + 7] = std::byte{1};  // the lower bound of the instructions
  EXPECT_EQ(errorOf(decode({buffer})), "byte string 0, byte 33: BCO 0: the array of instructions does not start at 0");
}

TEST(DecodeBcos, RefusesPartsOfElements) {
  Buffer buffer = encode({BcoSource()}, kGhc9103);
  buffer[8 + 1 + 8 + 8 + 7] = std::byte{4};  // the bitmap's byte count
  EXPECT_EQ(errorOf(decode({buffer}, kGhc9103)),
            "byte string 0, byte 33: BCO 0: the array of bitmap words has 4 bytes, no multiple of 8");
}

TEST(DecodeBcos, RefusesByteCountsBeyondTheInput) {
  for (const uint64_t count : {uint64_t{64}, uint64_t{1} << 32, uint64_t{1} << 60, ~uint64_t{7}}) {
    Buffer buffer = encode({BcoSource()}, kGhc9103);
    for (int i = 0; i < 8; ++i) {
      buffer[8 + 1 + 8 + i] = static_cast<std::byte>(count >> (56 - 8 * i));
    }
    EXPECT_EQ(errorOf(decode({buffer}, kGhc9103)),
              "byte string 0, byte 25: BCO 0: the array of instructions does not fit in what follows");
  }
}

// What the input claims to hold must not decide how much memory is asked for.
TEST(DecodeBcos, RefusesCountsBeyondTheInput) {
  for (const uint64_t count : {uint64_t{2}, uint64_t{1} << 32, uint64_t{1} << 60, ~uint64_t{0}}) {
    Buffer list = encode({BcoSource()});
    Buffer array = list;
    Buffer pointers = list;
    for (int i = 0; i < 8; ++i) {
      const std::byte byte = static_cast<std::byte>(count >> (56 - 8 * i));
      list[i] = byte;
      if (count != ~uint64_t{0}) array[8 + 1 + 8 + 8 + i] = byte;  // -1 is an empty array's bound
      pointers[pointers.size() - 16 + i] = byte;
      pointers[pointers.size() - 8 + i] = byte;
    }
    EXPECT_FALSE(decode({list}).ok()) << count;
    EXPECT_EQ(decode({array}).ok(), count == ~uint64_t{0}) << count;
    EXPECT_FALSE(decode({pointers}).ok()) << count;
  }
}

// Nested BCOs that each claim as many pointers as the rest of the input could hold would multiply,
// if each claim were looked at by itself.
TEST(DecodeBcos, CountsPointersOfAllLevelsAgainstTheInput) {
  Buffer fields;
  BcoSource().put(fields);
  fields.resize(fields.size() - 16);
  constexpr size_t kLevels = 100;
  constexpr size_t kClaimed = 10'000;
  Buffer buffer;
  putWord(buffer, 1);
  for (size_t i = 0; i < kLevels; ++i) {
    buffer.insert(buffer.end(), fields.begin(), fields.end());
    putWord(buffer, kClaimed);
    putWord(buffer, kClaimed);
    buffer.push_back(std::byte{3});
  }
  buffer.resize(buffer.size() + kClaimed * 9);  // enough for any one of the claims
  const size_t secondClaimEnds = 8 + 2 * (fields.size() + 16) + 1;
  EXPECT_EQ(errorOf(decode({buffer})), "byte string 0, byte " + std::to_string(secondClaimEnds) +
                                           ": BCO 0: a list of 10000 elements does not fit in what follows");
}

TEST(FindFormat, KnowsTheVersionsThatHaveAWireTable) {
  ASSERT_EQ(formats().size(), ghc::versions().size());
  for (const ghc::Version& version : ghc::versions()) {
    EXPECT_NE(findFormat(version.name), nullptr) << version.name;
  }
}

TEST(FindFormat, KnowsItsVersions) {
  for (const BcoFormat& format : formats()) EXPECT_EQ(findFormat(format.ghc), &format);
  EXPECT_EQ(findFormat("9.0.1"), nullptr);
}

}  // namespace
}  // namespace splicehost::bytecode
