#include "iserv/ctl/process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>

namespace splicehost::ctl {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

Command shell(const std::string& script, seconds limit = seconds(30)) {
  return {.words = {"sh", "-c", script}, .directory = {}, .limit = limit};
}

TEST(ProcessRunner, CapturesBothStreamsAndTheStatus) {
  ProcessRunner runner;
  Finished finished = runner.run(shell("echo out; echo err >&2; exit 3"));
  EXPECT_EQ(finished.output, "out\n");
  EXPECT_EQ(finished.errors, "err\n");
  EXPECT_EQ(finished.status, 3);
  EXPECT_FALSE(finished.ok());
  EXPECT_EQ(finished.complaint(), "err");
}

TEST(ProcessRunner, HandsWordsOverAsTheyAre) {
  ProcessRunner runner;
  Finished finished = runner.run({.words = {"printf", "%s|", "a b", "", "$HOME", "*"}, .directory = "/"});
  EXPECT_TRUE(finished.ok());
  EXPECT_EQ(finished.output, "a b||$HOME|*|");
}

TEST(ProcessRunner, RunsInADirectoryWithoutInput) {
  ProcessRunner runner;
  EXPECT_EQ(runner.run({.words = {"pwd"}, .directory = "/usr"}).output, "/usr\n");
  EXPECT_EQ(runner.run(shell("cat; echo end")).output, "end\n");
}

TEST(ProcessRunner, SaysWhyAProgramCannotBeStarted) {
  ProcessRunner runner;
  Finished finished = runner.run({.words = {"/nonexistent/program"}, .directory = {}});
  EXPECT_FALSE(finished.ok());
  EXPECT_EQ(finished.complaint(), "/nonexistent/program: no such file or directory");
}

TEST(ProcessRunner, TellsASignal) {
  ProcessRunner runner;
  Finished finished = runner.run(shell("kill -SEGV $$"));
  EXPECT_EQ(finished.signal, SIGSEGV);
  EXPECT_EQ(finished.complaint(), "ended by a signal: Segmentation fault");
}

TEST(ProcessRunner, KillsAllThatACommandStartedWhenItsTimeIsOver) {
  ProcessRunner runner;
  auto begin = Clock::now();
  Finished finished = runner.run(shell("sleep 60 & echo $!; sleep 60", seconds(1)));
  EXPECT_LT(Clock::now() - begin, seconds(20));
  EXPECT_TRUE(finished.outOfTime);
  EXPECT_EQ(finished.complaint(), "no end after 1 s");
  pid_t grandchild = std::stoi(finished.output);
  // It may be a zombie for as long as init takes.
  for (int i = 0; i < 200 && kill(grandchild, 0) == 0; ++i) usleep(10'000);
  EXPECT_EQ(kill(grandchild, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(ProcessRunner, DoesNotWaitForWhatACommandLeftBehind) {
  ProcessRunner runner;
  auto begin = Clock::now();
  Finished finished = runner.run(shell("sleep 60 & echo done"));
  EXPECT_LT(Clock::now() - begin, seconds(20));
  EXPECT_TRUE(finished.ok());
  EXPECT_EQ(finished.output, "done\n");
}

TEST(ProcessRunner, KeepsALimitedAmountOfOutput) {
  ProcessRunner runner;
  Finished finished = runner.run(shell("head -c 3000000 /dev/zero; echo >&2 said"));
  EXPECT_TRUE(finished.ok());
  EXPECT_EQ(finished.output.size(), 1u << 20);
  EXPECT_EQ(finished.errors, "said\n");
}

TEST(ProcessRunner, ReturnsResultsInTheOrderOfTheCommands) {
  ProcessRunner runner;
  std::vector<Command> commands;
  for (int i = 0; i < 10; ++i) {
    std::string number = std::to_string(i);
    commands.push_back(shell("sleep 0.0" + std::to_string(9 - i) + "; echo " + number));
  }
  std::vector<Finished> finished = runner.runAll(commands);
  ASSERT_EQ(finished.size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(finished[i].output, std::to_string(i) + "\n");
}

TEST(ProcessRunner, StopsWhenItIsToldTo) {
  ProcessRunner runner;
  auto begin = Clock::now();
  runner.runAll({shell("kill -TERM $PPID; sleep 60"), shell("sleep 60"), shell("sleep 60")});
  EXPECT_LT(Clock::now() - begin, seconds(20));
  EXPECT_TRUE(runner.interrupted());
}

}  // namespace
}  // namespace splicehost::ctl
