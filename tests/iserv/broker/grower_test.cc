// What grows of what sessions report. The interpreters are fake_zygote.cc.

#include "iserv/broker/grower.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "tests/iserv/broker/loop_test.h"
#include "tests/iserv/broker/operations.h"
#include "tests/iserv/broker/tree_client.h"

namespace splicehost::broker {
namespace {

using schema::LoadKind;
using testing::TreeClient;

const AskedOperation kInit{testing::kInit.operation};
const AskedOperation kResolve{testing::kResolve.operation};

class GrowerTest : public testing::LoopTest {
 protected:
  ~GrowerTest() noexcept override = default;

  // A library of a package's, as a session asks for it.
  AskedOperation library(const std::string& name, const std::string& content) {
    return asked({LoadKind::LOAD_ARCHIVE, directory_.write("libHS" + name + ".a", content)});
  }
  LoadReport report(std::vector<AskedOperation> operations, std::vector<std::string> symbols = {}) {
    return {++sessions_, tree_.trie().root().id, {}, std::move(operations), std::move(symbols)};
  }
  // Until there is nothing more to grow.
  void grow(LoadReport report) {
    grower_.add(std::move(report));
    EXPECT_TRUE(await([&] { return !grower_.isBusy(); }));
  }
  // Where these operations lead, if there are nodes for all of them.
  const LoadTrie::Node* nodeOf(std::vector<AskedOperation> operations) {
    for (AskedOperation& asked : operations) {
      if (auto digest = linker::digestFile(asked.operation.file)) asked.digest = *digest;
    }
    auto walk = tree_.trie().walk(tree_.trie().root(), operations);
    return walk.matched == operations.size() ? walk.end : nullptr;
  }
  bool hasZygote(const std::vector<AskedOperation>& operations) {
    const LoadTrie::Node* node = nodeOf(operations);
    return node != nullptr && node->hasZygote;
  }

  ZygoteTree tree_{parts(), fake()};
  Grower grower_{parts(), tree_};
  uint64_t sessions_ = 0;
};

TEST_F(GrowerTest, GrowsAZygoteThatHasDoneWhatWasReported) {
  std::vector path = {kInit, library("a", "a"), library("b", "b"), kResolve};
  grow(report(path));
  ASSERT_TRUE(hasZygote(path));
  TreeClient client(tree_, nodeOf(path)->id);
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 4 replayed 0 linked 0");
  EXPECT_TRUE(hasLogged("4 operations, 4 of them its own, up to " + path[2].operation.file)) << logged();
}

TEST_F(GrowerTest, BeginsWithWhatThereIs) {
  std::vector path = {kInit, library("a", "a")};
  grow(report(path));
  path.push_back(library("b", "b"));
  grow(report(path));
  EXPECT_TRUE(hasZygote(path));
  EXPECT_TRUE(hasLogged("3 operations, 1 of them its own")) << logged();
}

TEST_F(GrowerTest, AddsToWhereTheSessionBegan) {
  std::vector path = {kInit, library("a", "a")};
  grow(report(path));
  AskedOperation further = library("b", "b");
  const LoadTrie::Node* node = nodeOf(path);
  ASSERT_NE(node, nullptr);
  grow({7, node->id, *tree_.pathTo(node->id), {further}, {}});
  path.push_back(further);
  EXPECT_TRUE(hasZygote(path));
}

TEST_F(GrowerTest, TellsWhatItIsAt) {
  std::vector path = {kInit, library("a", "a"), library("b", "b")};
  grower_.add(report(path));
  ASSERT_NE(grower_.growing(), nullptr);
  EXPECT_TRUE(grower_.filesLoaded().empty());
  size_t most = 0;
  EXPECT_TRUE(await([&] {
    most = std::max(most, grower_.filesLoaded().size());
    return !grower_.isBusy();
  }));
  EXPECT_GE(most, 1u);
  EXPECT_EQ(grower_.growing(), nullptr);
}

// In whichever zygote the session's successors will come from.
TEST_F(GrowerTest, HasSymbolsLinkedThere) {
  std::vector path = {kInit, library("a", "a")};
  grow(report(path, {"alpha"}));
  const LoadTrie::Node* node = nodeOf(path);
  ASSERT_NE(node, nullptr);
  EXPECT_TRUE(node->symbols.contains("alpha"));
  grow(report(path, {"beta"}));
  EXPECT_TRUE(node->symbols.contains("beta"));
  EXPECT_TRUE(await([&] { return !tree_.zygoteAt(node->id)->isBusy(); }));
  TreeClient client(tree_, node->id);
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 2 replayed 0 linked 2");
}

TEST_F(GrowerTest, KnowsACopyOfALibrary) {
  std::vector path = {kInit, library("a", "a")}, copy = {kInit, library("copy", "a")};
  grow(report(path));
  grow(report(copy));
  EXPECT_TRUE(hasZygote(copy));
  EXPECT_EQ(nodeOf(copy), nodeOf(path));
}

TEST_F(GrowerTest, TellsLibrariesOfTheSameSizeApart) {
  std::vector path = {kInit, library("a", "a")}, other = {kInit, library("other", "b")};
  grow(report(path));
  grow(report(other));
  EXPECT_TRUE(hasZygote(other));
  EXPECT_NE(nodeOf(other), nodeOf(path));
}

// --- what cannot be loaded

TEST_F(GrowerTest, GivesUpWhatCannotBeLoaded) {
  std::vector path = {kInit, library("a", "bad")};
  grow(report(path));
  EXPECT_EQ(nodeOf(path), nullptr);
  EXPECT_TRUE(hasLogged("a zygote does not grow with " + path[1].operation.file + ": it is bad")) << logged();
  EXPECT_TRUE(grower_.unshared().all().empty());
  // And has what comes before it, from then on.
  grow(report(path));
  EXPECT_TRUE(hasZygote({kInit}));
}

TEST_F(GrowerTest, LeavesToSessionsWhatEndsAZygote) {
  std::vector path = {kInit, library("a", "a"), library("b", "deadly"), library("c", "c")};
  grow(report(path));
  ASSERT_EQ(grower_.unshared().all().size(), 1u);
  EXPECT_EQ(grower_.unshared().all()[0].operation, path[2].operation);
  EXPECT_EQ(grower_.unshared().all()[0].why, "the process ended with signal 6");
  EXPECT_TRUE(hasZygote({path[0], path[1]}));
  EXPECT_EQ(nodeOf({path[0], path[1], path[2]}), nullptr);
}

TEST_F(GrowerTest, LeavesToSessionsWhatForksDoNotHave) {
  std::vector path = {kInit, library("a", "effect")};
  grow(report(path));
  ASSERT_EQ(grower_.unshared().all().size(), 1u);
  EXPECT_EQ(grower_.unshared().all()[0].why, "it changes threads");
  EXPECT_TRUE(hasZygote({kInit}));
  EXPECT_TRUE(hasLogged(path[1].operation.file + " is not shared: it changes threads")) << logged();
}

// The library is known by its content.
TEST_F(GrowerTest, DoesNotTryACopyOfWhatIsLeftToSessions) {
  grow(report({kInit, library("a", "effect")}));
  grow(report({kInit, library("copy", "effect")}));
  EXPECT_EQ(grower_.unshared().all().size(), 1u);
  EXPECT_FALSE(hasLogged("libHScopy")) << logged();
}

TEST_F(GrowerTest, GivesUpWhatSomebodyKills) {
  std::vector path = {kInit, library("a", "slow")};
  grower_.add(report(path));
  ASSERT_TRUE(await([&] { return grower_.growing() != nullptr && grower_.growing()->isReady(); }));
  kill(grower_.growing()->id(), SIGKILL);
  ASSERT_TRUE(await([&] { return !grower_.isBusy(); }));
  EXPECT_TRUE(grower_.unshared().all().empty());
  EXPECT_TRUE(hasLogged("it was killed")) << logged();
}

TEST_F(GrowerTest, GivesUpWhatIsNotThere) {
  AskedOperation missing{{LoadKind::LOAD_ARCHIVE, directory_.path() / "libHSmissing.a"}};
  grow(report({kInit, missing}));
  EXPECT_EQ(nodeOf({kInit, missing}), nullptr);
}

// --- reports

TEST_F(GrowerTest, TakesTheSameReportOfManySessionsForOne) {
  std::vector first = {kInit, library("a", "a")}, second = {kInit, library("b", "b")};
  grower_.add(report(first));
  grower_.add(report(second, {"alpha"}));
  grower_.add(report(second, {"beta"}));
  EXPECT_TRUE(await([&] { return !grower_.isBusy(); }));
  ASSERT_TRUE(hasZygote(second));
  EXPECT_EQ(nodeOf(second)->symbols, (std::set<std::string>{"alpha", "beta"}));
}

TEST_F(GrowerTest, PrefersLateReportsToEarlyOnes) {
  std::vector<std::vector<AskedOperation>> paths;
  for (size_t i = 0; i < Grower::kMostReports + 3; ++i) {
    paths.push_back({kInit, library(std::to_string(i), std::to_string(i))});
    grower_.add(report(paths.back()));
  }
  EXPECT_TRUE(await([&] { return !grower_.isBusy(); }));
  EXPECT_TRUE(hasZygote(paths.front()));  // was growing already
  EXPECT_FALSE(hasZygote(paths[1]));
  EXPECT_FALSE(hasZygote(paths[2]));
  EXPECT_TRUE(hasZygote(paths[3]));
  EXPECT_TRUE(hasZygote(paths.back()));
}

TEST_F(GrowerTest, IgnoresReportsFromWhereNothingIs) {
  grower_.add({1, 4711, {}, {kInit}, {}});
  EXPECT_FALSE(grower_.isBusy());
  EXPECT_TRUE(tree_.zygotes().empty());
}

TEST_F(GrowerTest, GivesUpEverythingWhenItIsClosed) {
  grower_.add(report({kInit, library("a", "a")}));
  grower_.add(report({kInit, library("b", "b")}));
  grower_.close();
  EXPECT_FALSE(grower_.isBusy());
  pass(std::chrono::milliseconds(100));
  EXPECT_EQ(tree_.zygotes().size(), 1u);  // the root
}

}  // namespace
}  // namespace splicehost::broker
