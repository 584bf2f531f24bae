#include "bytecode/format.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/ghc_versions.h"

namespace splicehost::bytecode {
namespace {

// Messages of a GHC whose byte code nobody can read would be of no use.
TEST(BcoFormats, AreThereForEachGhc) {
  for (const auto& version : ghc::versions()) {
    const BcoFormat* format = findFormat(version.name);
    ASSERT_NE(format, nullptr) << version.name;
    EXPECT_EQ(format->ghc, version.name);
  }
  EXPECT_EQ(formats().size(), ghc::versions().size());
}

TEST(BcoFormats, AreNotThereForOthers) {
  for (const char* version : {"", "9", "9.0", "9.0.1", "9.0.20", "10"}) EXPECT_EQ(findFormat(version), nullptr);
}

TEST(BcoFormats, HaveAllKindsOfPointers) {
  using Kind = BcoPointer::Kind;
  for (const BcoFormat& format : formats()) {
    for (Kind kind :
         {Kind::kBcoOfSet, Kind::kRemoteReference, Kind::kStaticPointer, Kind::kNestedBco, Kind::kBreakArray}) {
      EXPECT_EQ(std::count(format.pointerKinds.begin(), format.pointerKinds.end(), kind), 1) << format.ghc;
    }
  }
}

}  // namespace
}  // namespace splicehost::bytecode
