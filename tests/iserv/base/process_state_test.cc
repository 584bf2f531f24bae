#include "iserv/base/process_state.h"

#include <fcntl.h>
#include <fenv.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <ostream>
#include <string>

namespace splicehost {
namespace {

// What is seen of something that a child of this process does.
std::string effectOf(const std::function<void()>& act) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  pid_t child = fork();
  if (child == 0) {
    // Other processes have those of whoever runs the tests, and move in them.
    dup2(ends[1], STDERR_FILENO + 1);
    close_range(STDERR_FILENO + 2, ~0U, 0);
    EffectWatch watch;
    act();
    std::string effect = watch.end();
    if (write(STDERR_FILENO + 1, effect.data(), effect.size()) < 0) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  std::string effect;
  char buffer[512];
  for (ssize_t size; (size = read(ends[0], buffer, sizeof buffer)) > 0;) {
    effect.append(buffer, static_cast<size_t>(size));
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return effect;
}

void* sleepForever(void*) {
  pause();
  return nullptr;
}

void ignore(int) {}

struct Case {
  const char* name;
  const char* sees;
  void (*act)();
};

void PrintTo(const Case& what, std::ostream* stream) { *stream << what.name; }

const Case kCases[] = {
    {"Nothing", "", [] {}},
    {"Memory", "", [] { std::free(std::malloc(100'000'000)); }},
    {"FileReadAndClosed", "", [] { close(open("/etc/passwd", O_RDONLY)); }},
    {"Thread", "it changes threads",
     [] {
       pthread_t thread;
       pthread_create(&thread, nullptr, sleepForever, nullptr);
     }},
    {"OpenFile", "it changes open files", [] { (void)!open("/etc/passwd", O_RDONLY); }},
    {"ClosedFile", "it changes open files", [] { close(STDIN_FILENO); }},
    {"ReplacedStream", "it changes open files", [] { (void)!freopen("/dev/null", "w", stdout); }},
    {"FlagOfAFile", "it changes open files", [] { fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK | O_RDWR); }},
    {"SharedMemory", "it changes shared memory",
     [] { mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }},
    {"LockedMemory", "it changes locked memory",
     [] {
       void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       // AddressSanitizer's mlock() does nothing.
       syscall(SYS_mlock, page, 4096);
     }},
    {"Child", "it changes children",
     [] {
       if (fork() == 0) {
         prctl(PR_SET_PDEATHSIG, SIGKILL);
         sleep(1);
         _exit(0);
       }
     }},
    {"ChildThatEnded", "it changes children",
     [] {
       pid_t child = fork();
       if (child == 0) _exit(0);
       waitpid(child, nullptr, 0);
     }},
    {"Alarm", "it changes timers", [] { alarm(1000); }},
    {"PosixTimer", "it changes timers",
     [] {
       timer_t timer;
       sigevent event = {};
       event.sigev_notify = SIGEV_SIGNAL;
       event.sigev_signo = SIGUSR1;
       timer_create(CLOCK_MONOTONIC, &event, &timer);
     }},
    {"Handler", "it changes signal handling", [] { signal(SIGUSR2, ignore); }},
    {"Mask", "it changes signal handling",
     [] {
       sigset_t set;
       sigemptyset(&set);
       sigaddset(&set, SIGUSR1);
       sigprocmask(SIG_BLOCK, &set, nullptr);
     }},
    {"Directory", "it changes the working directory", [] { (void)!chdir("/proc"); }},
    {"Umask", "it changes the file creation mask", [] { umask(0123); }},
    {"Limit", "it changes resource limits",
     [] {
       rlimit none = {0, 0};
       setrlimit(RLIMIT_CORE, &none);
       none = {16, 16};
       setrlimit(RLIMIT_NOFILE, &none);
     }},
    {"Niceness", "it changes scheduling",
     [] { setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) == 19 ? 18 : 19); }},
    {"Policy", "it changes scheduling",
     [] {
       sched_param none = {};
       sched_setscheduler(0, SCHED_IDLE, &none);
     }},
    {"Variable", "it changes the environment", [] { setenv("EFFECT", "1", 1); }},
    {"ProcessGroup", "it changes the process's identity", [] { setpgid(0, 0); }},
    {"ProcessName", "it changes the process's identity", [] { prctl(PR_SET_NAME, "effect"); }},
    {"NoNewPrivileges", "it changes confinement", [] { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }},
    {"Personality", "it changes process settings", [] { personality(ADDR_NO_RANDOMIZE); }},
    {"DeathSignal", "it changes process settings", [] { prctl(PR_SET_PDEATHSIG, SIGTERM); }},
    {"Rounding", "it changes floating-point modes", [] { fesetround(FE_UPWARD); }},
    {"Output", "it prints something", [] { std::printf("x\n"); }},
    {"ErrorOutput", "it prints something", [] { std::fputs("x\n", stderr); }},
    {"WrittenFile", "it changes what was written",
     [] {
       std::FILE* file = std::tmpfile();
       std::fputs("x", file);
       std::fclose(file);
     }},
};

class Effect : public testing::TestWithParam<Case> {};

TEST_P(Effect, IsSeen) {
  std::string effect = effectOf(GetParam().act);
  if (*GetParam().sees == '\0') {
    EXPECT_EQ(effect, "");
  } else {
    EXPECT_TRUE(effect.starts_with(GetParam().sees)) << effect;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, Effect, testing::ValuesIn(kCases), [](const auto& test) { return test.param.name; });

TEST(ProcessState, SaysAllThatChanged) {
  EXPECT_EQ(effectOf([] {
              umask(0123);
              setenv("EFFECT", "1", 1);
              alarm(1000);
            }),
            "it changes timers, the file creation mask and the environment");
}

}  // namespace
}  // namespace splicehost
