// Which zygote a session comes from. The interpreters are fake_zygote.cc.

#include "iserv/broker/zygote_tree.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>

#include "tests/iserv/broker/loop_test.h"
#include "tests/iserv/broker/operations.h"
#include "tests/iserv/broker/tree_client.h"

namespace splicehost::broker {
namespace {

using testing::archive;
using testing::kInit;
using testing::TreeClient;

class ZygoteTreeTest : public testing::LoopTest {
 protected:
  ~ZygoteTreeTest() noexcept override = default;

  // A tree whose root zygote is there.
  ZygoteTree& makeTree(uint32_t spares = 0, const std::string& behaviour = "fake") {
    tree_.emplace(parts(spares), fake(behaviour));
    EXPECT_TRUE(tree_->start());
    EXPECT_TRUE(await([&] { return root().process->isReady(); }));
    return *tree_;
  }
  Zygote& root() { return *tree_->zygoteAt(tree_->trie().root().id); }
  NodeId rootNode() { return tree_->trie().root().id; }
  LoadTrie::Node& node(const std::vector<DoneOperation>& done) { return tree_->trie().add(tree_->trie().root(), done); }
  // A zygote that has done this.
  Zygote& grow(const std::vector<DoneOperation>& done, Conditions conditions = {}) {
    auto process = root().process->fork(schema::ForkPurpose::ZYGOTE);
    EXPECT_TRUE(process.ok());
    Zygote& zygote = tree_->add(node(done), std::move(*process), std::move(conditions));
    EXPECT_TRUE(await([&] { return zygote.process->isReady(); }));
    return zygote;
  }
  // Whoever asks at a node gets a session.
  NewSession attach(NodeId node, pid_t like = 0) {
    TreeClient client(*tree_, node, like);
    EXPECT_TRUE(await([&] { return client.isAnswered(); }));
    EXPECT_TRUE(client.hasSession()) << client.refusal();
    return client.hasSession() ? std::move(client.session()) : NewSession{};
  }
  std::string refusalAt(NodeId node) {
    TreeClient client(*tree_, node);
    EXPECT_TRUE(await([&] { return client.isAnswered(); }));
    return client.refusal();
  }
  Conditions dependingOn(const std::string& file, uint32_t depth) {
    Conditions conditions;
    conditions.add(depth, {.files = {{file, linker::signatureOfAny(file)}}});
    return conditions;
  }

  std::optional<ZygoteTree> tree_;
};

TEST_F(ZygoteTreeTest, StartsOneRoot) {
  makeTree();
  pid_t first = root().process->id();
  EXPECT_TRUE(tree_->start());
  EXPECT_EQ(tree_->zygotes().size(), 1u);
  EXPECT_EQ(root().process->id(), first);
}

TEST_F(ZygoteTreeTest, GivesAForkOfTheRoot) {
  makeTree();
  TreeClient client(*tree_, rootNode());
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 0 replayed 0 linked 0");
  const NewSession& session = client.session();
  EXPECT_EQ(session.zygote, root().process->id());
  EXPECT_NE(session.process->id(), session.zygote);
  EXPECT_EQ(session.replayed, 0u);
  EXPECT_FALSE(session.hit);  // nothing was saved
  EXPECT_EQ(root().sessions, 1u);
}

TEST_F(ZygoteTreeTest, GivesAForkOfTheNearestZygote) {
  makeTree();
  Zygote& first = grow({kInit, archive("/a/libHSa.a", 1)});
  Zygote& second = grow({kInit, archive("/a/libHSa.a", 1), archive("/b/libHSb.a", 2)});
  EXPECT_EQ(attach(first.node->id).zygote, first.process->id());
  NewSession hit = attach(second.node->id);
  EXPECT_EQ(hit.zygote, second.process->id());
  EXPECT_TRUE(hit.hit);
  EXPECT_EQ(hit.savedNanoseconds, 2000u);
}

TEST_F(ZygoteTreeTest, LeavesToTheSessionWhatNoZygoteHasDone) {
  makeTree();
  Zygote& zygote = grow({kInit, archive("/a/libHSa.a", 1)});
  NodeId further = node({kInit, archive("/a/libHSa.a", 1), archive("/b/libHSb.a", 2), testing::kResolve}).id;
  NodeId other = node({kInit, archive("/c/libHSc.a", 3)}).id;
  TreeClient client(*tree_, further);
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 0 replayed 2 linked 0");
  EXPECT_EQ(client.session().zygote, zygote.process->id());
  EXPECT_EQ(client.session().replayed, 2u);
  EXPECT_EQ(client.session().savedNanoseconds, 1000u);
  EXPECT_FALSE(client.session().hit);
  EXPECT_EQ(attach(other).zygote, root().process->id());
}

TEST_F(ZygoteTreeTest, RefusesWhoAsksForAnUnknownNode) {
  makeTree();
  EXPECT_EQ(refusalAt(4711), "there is no such node");
}

TEST_F(ZygoteTreeTest, KnowsTheWayToANode) {
  makeTree();
  std::vector<DoneOperation> done = {kInit, archive("/a/libHSa.a", 1)};
  EXPECT_EQ(tree_->pathTo(node(done).id), (std::vector{done[0].operation, done[1].operation}));
  EXPECT_EQ(tree_->pathTo(rootNode()), std::vector<Operation>());
  EXPECT_EQ(tree_->pathTo(4711), std::nullopt);
}

TEST_F(ZygoteTreeTest, KnowsWhichZygotesOthersWereGrownFrom) {
  makeTree();
  Zygote& leaf = grow({kInit, archive("/a/libHSa.a", 1), archive("/b/libHSb.a", 2)});
  Zygote& inner = grow({kInit, archive("/a/libHSa.a", 1)});
  EXPECT_TRUE(tree_->isInner(root()));
  EXPECT_TRUE(tree_->isInner(inner));
  EXPECT_FALSE(tree_->isInner(leaf));
}

// --- what has changed

TEST_F(ZygoteTreeTest, LetsGoWhatDependsOnAChangedFile) {
  makeTree();
  std::string needed = directory_.write("libz.so", "one");
  NodeId first = grow({kInit, archive("/a/libHSa.a", 1)}).node->id;
  NodeId second = grow({kInit, archive("/a/libHSa.a", 1), archive("/b/libHSb.a", 2)}, dependingOn(needed, 3)).node->id;
  EXPECT_EQ(attach(second).replayed, 0u);
  directory_.write("libz.so", "another");
  // The session itself loads what is there now.
  TreeClient client(*tree_, second);
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.session().zygote, tree_->zygoteAt(first)->process->id());
  EXPECT_EQ(client.says(), "loaded 0 replayed 1 linked 0");
  EXPECT_EQ(tree_->zygoteAt(second), nullptr);
  EXPECT_EQ(tree_->pathTo(second), std::nullopt);
  EXPECT_TRUE(hasLogged(needed + " has changed")) << logged();
}

// Those grown from it have the same file in memory.
TEST_F(ZygoteTreeTest, LetsGoAllBelowTheChange) {
  makeTree();
  std::string needed = directory_.write("libz.so", "one");
  auto conditions = dependingOn(needed, 2);
  NodeId init = grow({kInit}).node->id;
  NodeId first = grow({kInit, archive("/a/libHSa.a", 1)}, conditions).node->id;
  NodeId second = grow({kInit, archive("/a/libHSa.a", 1), archive("/b/libHSb.a", 2)}, conditions).node->id;
  NodeId beside = grow({kInit, archive("/c/libHSc.a", 3)}).node->id;
  directory_.write("libz.so", "another");
  EXPECT_EQ(attach(first).zygote, tree_->zygoteAt(init)->process->id());
  EXPECT_EQ(tree_->zygoteAt(second), nullptr);
  EXPECT_NE(tree_->zygoteAt(beside), nullptr);
}

// --- spares

TEST_F(ZygoteTreeTest, KeepsSparesOfWhatIsInUse) {
  makeTree(3);
  Zygote& inner = grow({kInit, archive("/a/libHSa.a", 1)});
  Zygote& leaf = grow({kInit, archive("/a/libHSa.a", 1), archive("/b/libHSb.a", 2)});
  attach(inner.node->id);
  attach(leaf.node->id);
  EXPECT_TRUE(await([&] { return leaf.spares.size() == 3 && root().spares.size() == 1; }));
  pass(std::chrono::milliseconds(200));
  EXPECT_EQ(leaf.spares.size(), 3u);
  EXPECT_EQ(root().spares.size(), 1u);
  EXPECT_EQ(inner.spares.size(), 0u);
}

TEST_F(ZygoteTreeTest, GivesTheSpare) {
  makeTree(1);
  ASSERT_TRUE(await([&] { return root().spares.size() == 1; }));
  pid_t spare = root().spares.front()->id();
  EXPECT_EQ(attach(rootNode()).process->id(), spare);
  // And has another one.
  EXPECT_TRUE(await([&] { return root().spares.size() == 1; }));
}

TEST_F(ZygoteTreeTest, ReplacesASpareThatDied) {
  makeTree(1);
  ASSERT_TRUE(await([&] { return root().spares.size() == 1; }));
  pid_t spare = root().spares.front()->id();
  kill(spare, SIGKILL);
  ASSERT_TRUE(await([&] { return root().spares.empty(); }));
  EXPECT_NE(attach(rootNode()).process->id(), spare);
}

TEST_F(ZygoteTreeTest, ServesManyAtOnce) {
  makeTree();
  std::deque<TreeClient> clients;
  for (int i = 0; i < 40; ++i) clients.emplace_back(*tree_, rootNode());
  EXPECT_TRUE(await([&] { return std::ranges::all_of(clients, &TreeClient::hasSession); }));
  EXPECT_TRUE(root().spares.empty());
}

// --- zygotes that go

TEST_F(ZygoteTreeTest, ReplacesARootThatDied) {
  makeTree();
  pid_t first = root().process->id();
  kill(first, SIGKILL);
  ASSERT_TRUE(await([&] { return tree_->zygotes().empty(); }));
  EXPECT_NE(attach(rootNode()).zygote, first);
  EXPECT_EQ(tree_->zygotes().size(), 1u);
}

TEST_F(ZygoteTreeTest, WhoWaitsForWhatGoesIsServedByAnother) {
  makeTree();
  NodeId node = grow({kInit, archive("/a/libHSa.a", 1)}).node->id;
  TreeClient client(*tree_, node);
  EXPECT_FALSE(client.isAnswered());
  tree_->letGo(node, "there is no room");
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.session().zygote, root().process->id());
  EXPECT_EQ(client.session().replayed, 2u);
  EXPECT_TRUE(hasLogged("with 2 operations: there is no room")) << logged();
}

TEST_F(ZygoteTreeTest, RefusesIfTheInterpreterEndsAtOnce) {
  tree_.emplace(parts(), Interpreter{"/bin/false", "false", {}, "1.2.3", schema::Way::VANILLA});
  EXPECT_EQ(refusalAt(rootNode()), "the interpreter does not start");
  EXPECT_TRUE(tree_->zygotes().empty());
}

TEST_F(ZygoteTreeTest, RefusesIfThereIsNoInterpreter) {
  tree_.emplace(parts(), Interpreter{"/nowhere", "nowhere", {}, "1.2.3", schema::Way::VANILLA});
  EXPECT_EQ(refusalAt(rootNode()), "/nowhere: No such file or directory");
}

TEST_F(ZygoteTreeTest, RefusesIfForksDie) {
  makeTree(0, "forks die");
  EXPECT_EQ(refusalAt(rootNode()), "forks of the zygote die");
}

TEST_F(ZygoteTreeTest, RefusesAllOnceItIsClosed) {
  makeTree();
  TreeClient waiting(*tree_, rootNode());
  tree_->close();
  EXPECT_EQ(waiting.refusal(), "the broker is ending");
  EXPECT_EQ(refusalAt(rootNode()), "the broker is ending");
  EXPECT_FALSE(tree_->start());
  EXPECT_TRUE(tree_->zygotes().empty());
}

// --- symbols (Note [Zygotes do not change])

TEST_F(ZygoteTreeTest, LinksSymbolsInASuccessor) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"alpha", "beta"});
  EXPECT_EQ(root().process->id(), before);
  ASSERT_TRUE(await([&] { return root().process->id() != before; }));
  TreeClient client(*tree_, rootNode());
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 0 replayed 0 linked 2");
}

// A session that is repeated has the same addresses as before.
TEST_F(ZygoteTreeTest, KeepsTheOldOneForItsSessions) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"alpha"});
  ASSERT_TRUE(await([&] { return root().process->id() != before; }));
  ASSERT_EQ(tree_->superseded().size(), 1u);
  EXPECT_EQ(attach(rootNode(), before).zygote, before);
  EXPECT_EQ(attach(rootNode()).zygote, root().process->id());
  EXPECT_TRUE(tree_->dropSuperseded());
  EXPECT_FALSE(tree_->dropSuperseded());
  EXPECT_EQ(attach(rootNode(), before).zygote, root().process->id());
}

TEST_F(ZygoteTreeTest, KeepsTheOldOneWhileItIsNeeded) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"alpha"});
  ASSERT_TRUE(await([&] { return root().process->id() != before; }));
  TreeClient client(*tree_, rootNode(), before);
  EXPECT_FALSE(tree_->dropSuperseded());
  tree_->tick({before});
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.session().zygote, before);
}

TEST_F(ZygoteTreeTest, LinksWhatIsKnownOnce) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"alpha"});
  ASSERT_TRUE(await([&] { return root().process->id() != before; }));
  tree_->lookUp(root(), std::vector<std::string>{"alpha"});
  EXPECT_FALSE(root().successor);
  tree_->lookUp(root(), std::vector<std::string>{"alpha", "gamma"});
  EXPECT_TRUE(root().successor);
}

TEST_F(ZygoteTreeTest, IsNotReplacedForSymbolsThatDoNotExist) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"1"});
  ASSERT_TRUE(await([&] { return !root().successor; }));
  EXPECT_EQ(root().process->id(), before);
  EXPECT_TRUE(tree_->superseded().empty());
}

TEST_F(ZygoteTreeTest, LeavesSymbolsWithEffectsToSessions) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"alpha", "!effect", "beta"});
  ASSERT_TRUE(await([&] { return root().process->id() != before; }));
  EXPECT_EQ(root().node->unsharedSymbols, std::set<std::string>{"!effect"});
  EXPECT_EQ(root().node->whyUnsharedSymbols, "it changes threads");
  TreeClient client(*tree_, rootNode());
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 0 replayed 0 linked 2");
}

// The next root has what sessions will want.
TEST_F(ZygoteTreeTest, LinksSymbolsAgainInWhatComesInItsPlace) {
  makeTree();
  pid_t before = root().process->id();
  tree_->lookUp(root(), std::vector<std::string>{"alpha", "!effect"});
  ASSERT_TRUE(await([&] { return root().process->id() != before && !root().isBusy(); }));
  tree_->letGo(rootNode(), "there is no room");
  ASSERT_TRUE(tree_->start());
  pid_t next = root().process->id();
  ASSERT_TRUE(await([&] { return root().process->id() != next; }));
  TreeClient client(*tree_, rootNode());
  ASSERT_TRUE(await([&] { return client.hasSession(); }));
  EXPECT_EQ(client.says(), "loaded 0 replayed 0 linked 1");
}

// --- what clients get

TEST_F(ZygoteTreeTest, MakesANewImageWhenSomethingIsNew) {
  makeTree();
  auto first = tree_->image(), again = tree_->image();
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->fd, again->fd);
  size_t bytes = first->bytes;
  grow({kInit});
  auto next = tree_->image();
  ASSERT_TRUE(next);
  EXPECT_GT(next->bytes, bytes);
}

}  // namespace
}  // namespace splicehost::broker
