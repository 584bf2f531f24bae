#include "iserv/front_end/child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "tests/iserv/environment.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

constexpr uint64_t kLong = 60'000;

std::vector<std::string> shell(const std::string& script) { return {"sh", "-c", script}; }

TEST(Child, EndsByItselfOrByASignal) {
  Child::Exit exit = Child("/bin/sh", shell("exit 7")).wait(kLong);
  EXPECT_EQ(exit.status, 7);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_EQ(Child("/bin/sh", shell("kill -SEGV $$")).wait(kLong).signal, SIGSEGV);
}

TEST(Child, IsNotWaitedForForever) {
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Child("/bin/sh", shell("exec sleep 60")).wait(20).signal, SIGKILL);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50));
}

TEST(Child, IsNotWaitedForWhenNobodyNeedsIt) {
  Attention attention(nullptr);
  attention.cancel();
  EXPECT_EQ(Child("/bin/sh", shell("exec sleep 60")).wait(kLong, &attention).signal, SIGKILL);
}

TEST(Child, HasTheEnvironmentThatItIsGiven) {
  testing::Environment environment;
  environment.set("INHERITED", "yes");
  EXPECT_EQ(Child("/bin/sh", shell("[ \"$INHERITED\" = yes ]")).wait(kLong).status, 0);
  EXPECT_EQ(Child("/bin/sh", shell("[ \"$GIVEN$INHERITED\" = only ]"), std::vector<std::string>{"GIVEN=only"})
                .wait(kLong)
                .status,
            0);
}

TEST(Child, HasOneEndOfASocket) {
  testing::TemporaryDirectory directory;
  std::string program = directory.write("program", "#!/bin/bash\necho \"$1 $3\" >&$2\n");
  chmod(program.c_str(), 0755);
  Child child(program, {"program", "further"}, {}, "--fd");
  ASSERT_TRUE(child.started());
  EXPECT_EQ(child.wait(kLong).status, 0);
  kj::AutoCloseFd socket = child.takeSocket();
  char said[100];
  ssize_t size = read(socket.get(), said, sizeof said);
  EXPECT_EQ(std::string(said, static_cast<size_t>(std::max<ssize_t>(size, 0))), "--fd further\n");
}

// Its interpreter must not outlive a front end.
TEST(Child, EndsWithItsOwner) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    Child child("/bin/sh", shell("exec sleep 60"));
    ASSERT_TRUE(child.started());
    close(ends[1]);
  }
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
  close(ends[0]);
}

TEST(Child, SaysWhichProgramCannotBeStarted) {
  Child child("/nowhere/iserv", {"iserv"});
  ASSERT_FALSE(child.started());
  EXPECT_EQ(child.started().error().message, "/nowhere/iserv: No such file or directory");
}

}  // namespace
}  // namespace splicehost
