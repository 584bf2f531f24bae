#include "iserv/base/descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

namespace splicehost {
namespace {

// The exit status of a process that does this: descriptors are a process's own.
int inChild(const std::function<int()>& work) {
  pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WEXITSTATUS(status);
}

TEST(Descriptors, PassesOnWhatIsNotClosedOnExec) {
  kj::AutoCloseFd own(open("/dev/null", O_RDONLY | O_CLOEXEC)), first(dup(0)), second(fcntl(0, F_DUPFD, 100));
  std::vector<int> numbers = inheritable();
  auto has = [&](int number) { return std::find(numbers.begin(), numbers.end(), number) != numbers.end(); };
  EXPECT_TRUE(has(first.get()));
  EXPECT_TRUE(has(second.get()));
  EXPECT_FALSE(has(own.get()));
  EXPECT_FALSE(has(STDERR_FILENO));
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
}

// A session's own descriptors are never in the way of its client's.
TEST(Descriptors, AreAtTheClientsNumbers) {
  int status = inChild([] {
    close_range(STDERR_FILENO + 1, ~0u, 0);
    occupyLowDescriptors();
    int ends[2];
    if (pipe(ends) != 0 || ends[0] < kFirstOwn) return 1;
    kj::AutoCloseFd descriptors[] = {kj::AutoCloseFd(ends[0]), kj::AutoCloseFd(ends[1])};
    const int numbers[] = {7, 42};
    if (!takeDescriptors(descriptors, numbers)) return 2;
    char byte = 0;
    if (write(42, "x", 1) != 1 || read(7, &byte, 1) != 1 || byte != 'x') return 3;
    // Whoever is executed has them, and none that only held a place.
    std::vector<int> passed = inheritable();
    return std::count(passed.begin(), passed.end(), 7) == 1 && fcntl(8, F_GETFD) < 0 ? 0 : 4;
  });
  EXPECT_EQ(status, 0);
}

TEST(Descriptors, RefusesANumberThatIsTheInterpretersOwn) {
  int status = inChild([] {
    kj::AutoCloseFd own(fcntl(0, F_DUPFD_CLOEXEC, kFirstOwn));
    kj::AutoCloseFd descriptors[] = {kj::AutoCloseFd(fcntl(0, F_DUPFD_CLOEXEC, kFirstOwn))};
    const int numbers[] = {own.get()};
    Status taken = takeDescriptors(descriptors, numbers);
    return !taken && taken.error().message == "descriptor 200 is the interpreter's own" ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace splicehost
