// Measures how long one byte takes to another process and back through two pipes: what any interpreter
// in a process of its own costs a turn at the least. Prints two medians in nanoseconds: with the
// processes on whatever processors they are put, and with both on one. They differ much where waking a
// processor that sleeps is slow, as on a virtual machine.
//
//   round_trip [ROUNDS]

#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

int64_t nanosecondsNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int64_t medianRoundTrip(int rounds) {
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) fail("pipe");
  const pid_t child = fork();
  if (child < 0) fail("fork");
  char byte = 'x';
  if (child == 0) {
    close(there[1]);
    while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {
    }
    _exit(0);
  }
  std::vector<int64_t> times;
  for (int round = 0; round < rounds; ++round) {
    const int64_t start = nanosecondsNow();
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) fail("round trip");
    times.push_back(nanosecondsNow() - start);
  }
  for (int fd : {there[0], there[1], back[0], back[1]}) close(fd);
  waitpid(child, nullptr, 0);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void stayOnThisProcessor() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(sched_getcpu(), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 1000;
  if (rounds < 1) {
    std::fprintf(stderr, "usage: round_trip [ROUNDS]\n");
    return 2;
  }
  const int64_t anywhere = medianRoundTrip(rounds);
  stayOnThisProcessor();
  std::printf("%jd %jd\n", intmax_t{anywhere}, intmax_t{medianRoundTrip(rounds)});
}
