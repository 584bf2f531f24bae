#include "iserv/broker/growth_policy.h"

#include <gtest/gtest.h>

#include "tests/iserv/broker/operations.h"

namespace splicehost::broker {
namespace {

using testing::archive;
using testing::askedFor;
using testing::kInit;
using testing::kResolve;
using testing::object;

using Operations = std::vector<DoneOperation>;

Operations packages(uint8_t first, size_t count) {
  Operations result;
  for (uint8_t i = 0; i < count; ++i) {
    uint8_t content = first + i;
    result.push_back(archive("/packages/libHS" + std::to_string(content) + ".a", content));
  }
  return result;
}

Operations operator+(Operations left, const Operations& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

class GrowthPolicyTest : public ::testing::Test {
 protected:
  GrowthPolicyTest() { trie_.root().hasZygote = true; }

  LoadTrie::Node& zygoteAt(const Operations& operations) {
    auto& node = trie_.add(trie_.root(), operations);
    node.hasZygote = true;
    return node;
  }

  GrowthPlan plan(const Operations& operations, uint64_t session = 1) {
    auto path = askedFor(operations);
    return policy_.plan(*trie_.walk(trie_.root(), path).end, path, session, now_);
  }

  using Stops = std::vector<size_t>;

  LoadTrie trie_;
  GrowthPolicy policy_;
  uint64_t now_ = 1000;
};

TEST_F(GrowthPolicyTest, GrowsFromTheRoot) {
  GrowthPlan plan = this->plan(Operations{kInit} + packages(1, 5));
  EXPECT_EQ(plan.start, trie_.root().id);
  EXPECT_EQ(plan.begin, 0u);
  EXPECT_EQ(plan.stops, Stops{6});
}

TEST_F(GrowthPolicyTest, GrowsFromTheNearestZygote) {
  auto& zygote = zygoteAt(packages(1, 5));
  trie_.add(zygote, packages(6, 2));
  GrowthPlan plan = this->plan(packages(1, 9));
  EXPECT_EQ(plan.start, zygote.id);
  EXPECT_EQ(plan.begin, 5u);
  EXPECT_EQ(plan.stops, Stops{9});
}

TEST_F(GrowthPolicyTest, ThereIsNothingToGrowWhereAZygoteIs) {
  auto& zygote = zygoteAt(packages(1, 5));
  GrowthPlan plan = this->plan(packages(1, 5));
  EXPECT_EQ(plan.start, zygote.id);
  EXPECT_EQ(plan.stops, Stops{});
  EXPECT_EQ(this->plan({}).stops, Stops{});
}

TEST_F(GrowthPolicyTest, AKnownPathWithoutAZygoteGetsOne) {
  trie_.add(trie_.root(), packages(1, 5));
  EXPECT_EQ(plan(packages(1, 5)).stops, Stops{5});
}

TEST_F(GrowthPolicyTest, BranchesGetAZygoteOfTheirOwn) {
  zygoteAt(packages(1, 9));
  EXPECT_EQ(plan(packages(1, 6) + packages(100, 2)).stops, (Stops{6, 8}));
  // Not worth it.
  EXPECT_EQ(plan(packages(1, 3) + packages(100, 2)).stops, Stops{5});
  // A zygote is there.
  zygoteAt(packages(1, 6));
  EXPECT_EQ(plan(packages(1, 6) + packages(100, 2)).stops, Stops{8});
}

TEST_F(GrowthPolicyTest, HomeModulesHaveToBeSeenTwice) {
  Operations home = packages(1, 5) + Operations{object("/project/A.o", 50), kResolve};
  EXPECT_EQ(plan(home, 1).stops, Stops{5});
  EXPECT_EQ(plan(home, 1).stops, Stops{5});  // the same session
  // The packages have their own zygote.
  EXPECT_EQ(plan(home, 2).stops, (Stops{5, 7}));
  zygoteAt(packages(1, 5));
  EXPECT_EQ(plan(home, 3).stops, Stops{7});
  zygoteAt(home);
  EXPECT_EQ(plan(home, 4).stops, Stops{});
  // A module that has changed is another one.
  home[5] = object("/project/A.o", 51);
  GrowthPlan changed = plan(home, 5);
  EXPECT_EQ(changed.begin, 5u);
  EXPECT_EQ(changed.stops, Stops{});
  EXPECT_EQ(plan(home, 6).stops, Stops{7});
}

TEST_F(GrowthPolicyTest, PackagesAreKnownByTheirNames) {
  EXPECT_EQ(plan({object("/p/HSbase.o", 1), object("/p/HSlens.p_o", 2)}).stops, Stops{2});
  EXPECT_EQ(plan({object("/p/HSbase.o", 1), archive("/p/libfoo.a", 2)}).stops, Stops{1});
}

TEST_F(GrowthPolicyTest, GhcsTemporarySharedObjectsAreNeverShared) {
  DoneOperation temporary = object("/tmp/ghc1234_0/libghc_5.so", 9);
  temporary.operation.kind = schema::LoadKind::LOAD_DLL;
  Operations path = packages(1, 5) + Operations{temporary};
  EXPECT_EQ(plan(path, 1).stops, Stops{5});
  EXPECT_EQ(plan(path, 2).stops, Stops{5});
}

TEST_F(GrowthPolicyTest, WhatFailedIsNotTriedForSomeTime) {
  auto path = askedFor(packages(1, 5));
  policy_.failed(path, now_);
  EXPECT_EQ(plan(packages(1, 7)).stops, Stops{4});
  // The same file elsewhere may do.
  EXPECT_EQ(plan(Operations{kInit} + packages(1, 5)).stops, Stops{6});
  now_ += GrowthPolicy::kFailureMs;
  EXPECT_EQ(plan(packages(1, 7)).stops, Stops{7});
}

TEST_F(GrowthPolicyTest, RemembersABoundedNumberOfPaths) {
  auto home = [](uint32_t number) { return Operations{object("/project/M" + std::to_string(number) + ".o", 50)}; };
  EXPECT_EQ(plan(home(0), 1).stops, Stops{});
  for (uint32_t i = 1; i <= GrowthPolicy::kMostRemembered; ++i) plan(home(i), 1);
  EXPECT_EQ(plan(home(0), 2).stops, Stops{});
  EXPECT_EQ(plan(home(GrowthPolicy::kMostRemembered), 2).stops, Stops{1});
}

TEST(LeastUseful, GoesFirst) {
  EXPECT_FALSE(leastUseful({}));
  std::vector<ZygoteUse> uses = {{.root = true, .inner = true, .lastUsed = 1},
                                 {.inner = true, .lastUsed = 2},
                                 {.lastUsed = 9},
                                 {.lastUsed = 8},
                                 {.busy = true, .lastUsed = 3}};
  EXPECT_EQ(leastUseful(uses), 3u);
  uses[3].busy = true;
  EXPECT_EQ(leastUseful(uses), 2u);
  uses[2].busy = true;
  EXPECT_EQ(leastUseful(uses), 1u);
  uses[1].busy = true;
  EXPECT_EQ(leastUseful(uses), 0u);
  uses[0].busy = true;
  EXPECT_FALSE(leastUseful(uses));
}

}  // namespace
}  // namespace splicehost::broker
