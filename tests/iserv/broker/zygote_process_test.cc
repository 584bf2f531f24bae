// What the broker makes of what a zygote says. The interpreters are fake_zygote.cc.

#include "iserv/broker/zygote_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/iserv/broker/loop_test.h"

namespace splicehost::broker {
namespace {

using schema::LoadKind;

class ZygoteProcessTest : public testing::LoopTest {
 protected:
  ~ZygoteProcessTest() noexcept override = default;

  std::unique_ptr<ZygoteProcess> start(const std::string& behaviour = "fake") {
    auto process = ZygoteProcess::start(loop_, *processes_, fake(behaviour));
    EXPECT_TRUE(process.ok());
    (*process)->whenGone([this](const std::string& why) { gone_ = why; });
    return std::move(*process);
  }
  // What became of loading an archive with this content.
  std::optional<Result<DoneOperation>> load(ZygoteProcess& process, const std::string& content) {
    std::optional<Result<DoneOperation>> answer;
    process.load({LoadKind::LOAD_ARCHIVE, directory_.write("lib.a", content)},
                 [&](Result<DoneOperation> result) { answer.emplace(std::move(result)); });
    EXPECT_TRUE(await([&] { return answer || !gone_.empty(); }));
    return answer;
  }

  std::string gone_;
};

TEST_F(ZygoteProcessTest, IsReadyOnce) {
  auto process = start();
  EXPECT_FALSE(process->isReady());
  int ready = 0;
  process->whenReady([&] { ++ready; });
  EXPECT_TRUE(await([&] { return process->isReady(); }));
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(kill(process->id(), 0), 0);
}

TEST_F(ZygoteProcessTest, TellsWhatItWasStartedWith) {
  auto process = start("depends");
  std::vector<std::string> paths;
  process->whenStarted([&](const LoadConditions& conditions) {
    for (const auto& file : conditions.files) paths.push_back(file.path);
  });
  EXPECT_TRUE(await([&] { return process->isReady(); }));
  EXPECT_EQ(paths, std::vector<std::string>{"/lib/libc.so"});
}

TEST_F(ZygoteProcessTest, TellsWhatItHasLoaded) {
  auto process = start();
  auto done = load(*process, "good");
  ASSERT_TRUE(done && *done);
  EXPECT_EQ((*done)->operation.file, directory_.path() / "lib.a");
  EXPECT_EQ((*done)->digest, *linker::digestFile(directory_.path() / "lib.a"));
  EXPECT_EQ((*done)->signature, *linker::signatureOf(directory_.path() / "lib.a"));
  EXPECT_EQ((*done)->nanoseconds, 1000u);
  EXPECT_EQ((*done)->effect, "");
  EXPECT_FALSE((*done)->mapped);
}

// As long as the broker has it open, it knows that the file was changed, wherever that is.
TEST_F(ZygoteProcessTest, HandsOverTheFileThatItHasMapped) {
  auto process = start();
  auto done = load(*process, "mapped");
  ASSERT_TRUE(done && *done && (*done)->mapped);
  EXPECT_EQ(*(*done)->mapped->signature(), (*done)->signature);
}

TEST_F(ZygoteProcessTest, TellsWhyItCannotLoad) {
  auto process = start();
  auto failed = load(*process, "bad");
  ASSERT_TRUE(failed && !*failed);
  EXPECT_EQ(failed->error().message, "it is bad");
}

TEST_F(ZygoteProcessTest, TellsWhatLoadingDidToIt) {
  auto process = start();
  auto done = load(*process, "effect");
  ASSERT_TRUE(done && *done);
  EXPECT_EQ((*done)->effect, "it changes threads");
}

TEST_F(ZygoteProcessTest, TellsWhichSymbolsItHasLookedUp) {
  auto process = start();
  std::optional<LookedUp> all, some;
  process->lookUp(std::vector<std::string>{"alpha", "1", "beta"}, [&](const LookedUp& result) { all = result; });
  process->lookUp(std::vector<std::string>{"gamma", "!effect", "delta"},
                  [&](const LookedUp& result) { some = result; });
  ASSERT_TRUE(await([&] { return some.has_value(); }));
  EXPECT_EQ(all->found, 2u);
  EXPECT_EQ(all->effect, "");
  EXPECT_EQ(some->effect, "it changes threads");
  EXPECT_EQ(some->first, 1u);
  EXPECT_EQ(some->count, 1u);
}

TEST_F(ZygoteProcessTest, TakesOrdersBeforeItIsReady) {
  auto process = start();
  auto fork = process->fork(schema::ForkPurpose::ZYGOTE);
  ASSERT_TRUE(fork);
  auto forkOfFork = (*fork)->fork(schema::ForkPurpose::ZYGOTE);
  ASSERT_TRUE(forkOfFork);
  EXPECT_TRUE(await([&] { return (*forkOfFork)->isReady(); }));
  EXPECT_NE((*fork)->id(), (*forkOfFork)->id());
}

TEST_F(ZygoteProcessTest, SaysWhenItIsGone) {
  auto process = start();
  ASSERT_TRUE(await([&] { return process->isReady(); }));
  kill(process->id(), SIGKILL);
  EXPECT_TRUE(await([&] { return gone_ == "it hung up"; }));
}

TEST_F(ZygoteProcessTest, IsGoneIfItAnswersNonsense) {
  auto process = start("nonsense");
  EXPECT_FALSE(load(*process, "good"));
  EXPECT_EQ(gone_, "it answers nonsense");
}

TEST_F(ZygoteProcessTest, IsGoneIfItSaysTwiceThatItIsReady) {
  auto process = start("ready twice");
  EXPECT_TRUE(await([&] { return gone_ == "it is ready twice"; }));
}

TEST_F(ZygoteProcessTest, EndsWithItsObject) {
  auto process = start();
  ASSERT_TRUE(await([&] { return process->isReady(); }));
  bool ended = false;
  processes_->whenEnded(process->id(), [&](Ended) { ended = true; });
  process.reset();
  EXPECT_TRUE(processes_->awaitsEnds());
  EXPECT_TRUE(await([&] { return ended; }));
  EXPECT_FALSE(processes_->awaitsEnds());
}

// What it is then is its client's to end.
TEST_F(ZygoteProcessTest, OutlivesItsObjectAsASession) {
  auto process = start();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  kj::AutoCloseFd client(ends[0]), theirs(ends[1]);
  ASSERT_TRUE(await([&] { return process->isReady(); }));
  pid_t session = process->id();
  std::optional<Ended> ended;
  processes_->whenEnded(session, [&](Ended how) { ended = how; });
  capnp::MallocMessageBuilder order;
  order.initRoot<schema::ToZygote>().initStartSession().initAttach();
  int fds[] = {theirs.get()};
  ASSERT_TRUE(process->startSession(order, fds));
  EXPECT_TRUE(await([&] { return !gone_.empty(); }));
  process.reset();
  EXPECT_FALSE(processes_->awaitsEnds());
  EXPECT_FALSE(ended);
  ASSERT_EQ(write(client.get(), "exit 7", 6), 6);
  ASSERT_TRUE(await([&] { return ended.has_value(); }));
  EXPECT_EQ(ended->status, 7);
}

TEST_F(ZygoteProcessTest, SaysWhatCannotBeStarted) {
  auto process = ZygoteProcess::start(loop_, *processes_, {"/nowhere", "nowhere", {}, "", schema::Way::VANILLA});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().message, "/nowhere: No such file or directory");
}

}  // namespace
}  // namespace splicehost::broker
