#include "iserv/broker/rendezvous.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "tests/iserv/environment.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::broker {
namespace {

namespace fs = std::filesystem;

class RendezvousTest : public ::testing::Test {
 protected:
  RendezvousTest() { environment_.set("XDG_RUNTIME_DIR", directory_.path()); }

  // As a process of its own finds it: locks are an open file's.
  Rendezvous find(const std::string& program = "/proc/self/exe") {
    auto found = Rendezvous::find(program);
    if (!found) ADD_FAILURE() << found.error().message;
    return std::move(*found);
  }
  // A log that was last written to so long ago.
  std::string log(const std::string& name, std::chrono::hours age) {
    std::string path = directory_.write("splicehost/" + name, "log");
    fs::last_write_time(path, fs::file_time_type::clock::now() - age);
    return path;
  }

  splicehost::testing::TemporaryDirectory directory_;
  splicehost::testing::Environment environment_;
};

TEST_F(RendezvousTest, IsInTheRuntimeDirectory) {
  Rendezvous rendezvous = find();
  EXPECT_EQ(rendezvous.directory(), directory_.path() / "splicehost");
  EXPECT_EQ(fs::path(rendezvous.socketPath()).parent_path(), rendezvous.directory());
  EXPECT_EQ(rendezvous.socketPath(), find().socketPath());
  EXPECT_NE(rendezvous.socketPath(), find("/bin/sh").socketPath());
}

TEST_F(RendezvousTest, IsNowhereWithoutAProgram) { EXPECT_FALSE(Rendezvous::find("/nowhere/iservd")); }

TEST_F(RendezvousTest, IsServedWhileSomebodyListens) {
  Rendezvous broker = find(), client = find();
  EXPECT_FALSE(client.isServed());
  ASSERT_TRUE(*broker.lock());
  {
    auto socket = broker.listen();
    ASSERT_TRUE(socket);
    EXPECT_TRUE(client.isServed());
  }
  // The file is left, and nobody is there.
  EXPECT_TRUE(fs::exists(client.socketPath()));
  EXPECT_FALSE(client.isServed());
}

TEST_F(RendezvousTest, IsForOneBroker) {
  Rendezvous one = find(), other = find();
  EXPECT_TRUE(*one.lock());
  EXPECT_FALSE(*other.lock());
  one.giveUp();
  EXPECT_TRUE(*other.lock());
}

TEST_F(RendezvousTest, IsFreeWhenTheBrokerIsGone) {
  Rendezvous other = find();
  {
    Rendezvous broker = find();
    ASSERT_TRUE(*broker.lock());
  }
  EXPECT_TRUE(*other.lock());
}

TEST_F(RendezvousTest, TakesThePlaceOfASocketThatABrokerHasLeft) {
  {
    Rendezvous killed = find();
    ASSERT_TRUE(*killed.lock());
    ASSERT_TRUE(killed.listen());
  }
  Rendezvous next = find();
  ASSERT_TRUE(*next.lock());
  auto socket = next.listen();
  ASSERT_TRUE(socket);
  EXPECT_TRUE(find().isServed());
  EXPECT_TRUE(next.isOurs());
}

TEST_F(RendezvousTest, IsNotOursIfAnotherSocketIsThere) {
  Rendezvous old = find(), next = find();
  EXPECT_FALSE(old.isOurs());
  auto oldSocket = old.listen();
  ASSERT_TRUE(oldSocket);
  EXPECT_TRUE(old.isOurs());
  auto socket = next.listen();
  ASSERT_TRUE(socket);
  EXPECT_FALSE(old.isOurs());
  // Nor is it the old one's to remove.
  old.giveUp();
  EXPECT_TRUE(find().isServed());
}

TEST_F(RendezvousTest, LeavesNothingWhenItIsGivenUp) {
  Rendezvous broker = find();
  ASSERT_TRUE(*broker.lock());
  auto socket = broker.listen();
  broker.giveUp();
  EXPECT_TRUE(fs::is_empty(broker.directory()));
}

// Whoever lost his lock's file, and somebody else has the next one.
TEST_F(RendezvousTest, LeavesTheLockOfAnother) {
  Rendezvous old = find(), next = find();
  ASSERT_TRUE(*old.lock());
  fs::remove(old.socketPath() + ".lock");
  ASSERT_TRUE(*next.lock());
  old.giveUp();
  EXPECT_FALSE(*find().lock());
}

TEST_F(RendezvousTest, IsTheUsersAlone) {
  Rendezvous broker = find();
  ASSERT_TRUE(*broker.lock());
  struct stat status;
  ASSERT_EQ(stat((broker.socketPath() + ".lock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0u);
}

TEST_F(RendezvousTest, RemovesLogsOfBuildsThatAreGone) {
  Rendezvous broker = find();
  constexpr std::chrono::hours kWeeks(30 * 24);
  std::string old = log("iservd-old.socket.log", kWeeks),
              young = log("iservd-young.socket.log", std::chrono::hours(24)),
              used = log("iservd-used.socket.log", kWeeks), other = log("notes", kWeeks);
  directory_.write("splicehost/iservd-used.socket", "");
  auto socket = broker.listen();
  ASSERT_TRUE(socket);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_TRUE(fs::exists(used));
  EXPECT_TRUE(fs::exists(other));
}

}  // namespace
}  // namespace splicehost::broker
