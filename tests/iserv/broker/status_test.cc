// What the broker tells of its zygotes and sessions. The interpreters are fake_zygote.cc.

#include "iserv/broker/status.h"

#include <capnp/message.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>

#include "iserv/broker/growing_tree.h"
#include "linker/content_identity.h"
#include "protocol/text.h"
#include "tests/iserv/broker/operations.h"

namespace splicehost::broker {
namespace {

constexpr int64_t kNanosecondsPerMs = 1'000'000;

class StatusTest : public ::testing::Test {
 protected:
  StatusTest() {
    uv_loop_init(&loop_);
    processes_.emplace(loop_);
  }
  ~StatusTest() noexcept override {
    trees_.clear();
    processes_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }

  // The zygotes of an interpreter of this version, of which the root is there.
  GrowingTree& grow(const std::string& ghcVersion) {
    Interpreter interpreter{FAKE_ZYGOTE, FAKE_ZYGOTE, {}, ghcVersion, schema::Way::DYNAMIC};
    ZygoteTree::Parts parts{loop_, log_, *processes_, digests_, 0};
    GrowingTree& tree = *trees_.emplace_back(std::make_unique<GrowingTree>(parts, std::move(interpreter)));
    Status started = tree.start();
    EXPECT_TRUE(started) << started.error().message;
    await(root(tree));
    return tree;
  }
  // A zygote that has done this.
  GrowingTree& grow(GrowingTree& tree, const std::vector<DoneOperation>& done) {
    auto process = root(tree).process->fork(schema::ForkPurpose::ZYGOTE);
    EXPECT_TRUE(process.ok());
    await(tree.add(tree.trie().add(tree.trie().root(), done), std::move(*process), {}));
    return tree;
  }
  Zygote& root(GrowingTree& tree) { return *tree.zygoteAt(tree.trie().root().id); }
  void await(const Zygote& zygote) {
    while (!zygote.process->isReady()) uv_run(&loop_, UV_RUN_ONCE);
  }

  BrokerState state() {
    BrokerState state{17, directory_, 1000, uv_now(&loop_), totals_, {}, {}};
    for (const auto& tree : trees_) state.trees.push_back(tree.get());
    return state;
  }
  schema::BrokerStatus::Reader write(const BrokerState& state, const MemoryUses& memory = {}) {
    message_ = std::make_unique<capnp::MallocMessageBuilder>();
    auto status = message_->initRoot<schema::BrokerStatus>();
    writeStatus(state, memory, status);
    return status.asReader();
  }

  uv_loop_t loop_;
  kj::AutoCloseFd null_{open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log_{null_.get()};
  std::optional<Processes> processes_;
  Digests digests_{loop_};
  std::vector<std::unique_ptr<GrowingTree>> trees_;
  const std::string directory_ = "/run/me";
  SessionTotals totals_;
  std::unique_ptr<capnp::MallocMessageBuilder> message_;
};

TEST_F(StatusTest, TellsWhatTheBrokerHasDone) {
  totals_ = {5, 3, 7000};
  RunningSession one{11, 12, 13, 14}, other{};
  BrokerState broker = state();
  broker.sessions = {{21, &one}, {22, &other}};
  auto status = write(broker);
  EXPECT_EQ(status.getProcessId(), static_cast<uint32_t>(getpid()));
  EXPECT_EQ(status.getStarted(), 17);
  EXPECT_STREQ(status.getDirectory().cStr(), "/run/me");
  EXPECT_EQ(status.getMemoryLimit(), 1000u);
  EXPECT_EQ(status.getAttaches(), 5u);
  EXPECT_EQ(status.getHits(), 3u);
  EXPECT_EQ(status.getSavedNanoseconds(), 7000u);
  ASSERT_EQ(status.getSessions().size(), 2u);
  EXPECT_EQ(status.getSessions()[0].getProcessId(), 21u);
  EXPECT_EQ(status.getSessions()[0].getClientProcessId(), 11u);
  EXPECT_EQ(status.getSessions()[0].getZygoteProcessId(), 12u);
  EXPECT_EQ(status.getSessions()[0].getStarted(), 13);
  EXPECT_EQ(status.getSessions()[0].getReplayed(), 14u);
  EXPECT_EQ(status.getSessions()[1].getProcessId(), 22u);
  EXPECT_EQ(status.getZygotes().size(), 0u);
}

TEST_F(StatusTest, NamesRootsFirstAndWhatTheOthersHaveLoaded) {
  grow(grow("9.0.2"), {testing::kInit, testing::archive("/a/libHSa.a", 1), testing::kResolve});
  grow("9.4.7");
  auto zygotes = write(state()).getZygotes();
  ASSERT_EQ(zygotes.size(), 3u);
  EXPECT_STREQ(zygotes[0].getGhcVersion().cStr(), "9.0.2");
  EXPECT_EQ(zygotes[0].getWay(), schema::Way::DYNAMIC);
  EXPECT_EQ(zygotes[0].getProcessId(), static_cast<uint32_t>(root(*trees_[0]).process->id()));
  EXPECT_EQ(zygotes[0].getFiles().size(), 0u);
  EXPECT_STREQ(zygotes[1].getGhcVersion().cStr(), "9.4.7");
  EXPECT_STREQ(zygotes[2].getGhcVersion().cStr(), "9.0.2");
  ASSERT_EQ(zygotes[2].getFiles().size(), 1u);
  EXPECT_EQ(toString(zygotes[2].getFiles()[0]), "/a/libHSa.a");
  for (auto zygote : zygotes) EXPECT_FALSE(zygote.getGrowing());
}

TEST_F(StatusTest, TellsHowMuchMemoryIsInUse) {
  grow("9.0.2");
  // A spare's counts, too, though it is not listed.
  auto status = write(state(), {{root(*trees_[0]).process->id(), {300, 200, 100}}, {1, {30, 20, 10}}});
  EXPECT_EQ(status.getMemoryUsed(), 220u);
  ASSERT_EQ(status.getZygotes().size(), 1u);
  EXPECT_EQ(status.getZygotes()[0].getResidentBytes(), 300u);
  EXPECT_EQ(status.getZygotes()[0].getProportionalBytes(), 200u);
  EXPECT_EQ(status.getZygotes()[0].getSharedBytes(), 100u);
  // Of one that was not measured nothing is known.
  EXPECT_EQ(write(state()).getZygotes()[0].getResidentBytes(), 0u);
}

TEST_F(StatusTest, TellsWhenAZygoteWasUsed) {
  grow("9.0.2");
  BrokerState broker = state();
  broker.now = root(*trees_[0]).lastUsed + 5000;
  int64_t before = linker::systemClock();
  int64_t used = write(broker).getZygotes()[0].getLastUsed();
  EXPECT_GE(used, before - 5000 * kNanosecondsPerMs);
  EXPECT_LE(used, linker::systemClock() - 5000 * kNanosecondsPerMs);
}

TEST_F(StatusTest, ListsAZygoteThatGrows) {
  GrowingTree& tree = grow("9.0.2");
  tree.report({1, tree.trie().root().id, {}, {asked(testing::kInit.operation)}, {}});
  auto zygotes = write(state()).getZygotes();
  ASSERT_EQ(zygotes.size(), 2u);
  EXPECT_FALSE(zygotes[0].getGrowing());
  EXPECT_TRUE(zygotes[1].getGrowing());
}

TEST_F(StatusTest, TellsWhatIsNotSharedAndWhy) {
  LoadTrie& trie = grow("9.0.2").trie();
  auto& loaded = trie.add(trie.root(), std::vector{testing::kInit, testing::archive("/a/libHSa.a", 1)});
  loaded.unsharedSymbols = {"alpha", "beta"};
  loaded.whyUnsharedSymbols = "it starts a thread";
  trie.add(loaded, std::vector{testing::kResolve}).whyUnresolved = "it forks";
  auto unshared = write(state()).getUnshared();
  ASSERT_EQ(unshared.size(), 2u);
  for (auto entry : unshared) {
    EXPECT_EQ(toString(entry.getFile()), "/a/libHSa.a");
    EXPECT_STREQ(entry.getGhcVersion().cStr(), "9.0.2");
    EXPECT_EQ(entry.getWay(), schema::Way::DYNAMIC);
  }
  EXPECT_STREQ(unshared[0].getWhy().cStr(), "linking alpha: it starts a thread");
  EXPECT_STREQ(unshared[1].getWhy().cStr(), "it forks");
}

}  // namespace
}  // namespace splicehost::broker
