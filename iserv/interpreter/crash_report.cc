#include "iserv/interpreter/crash_report.h"

#include "iserv/interpreter/rts_lock.h"
//
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "iserv/interpreter/symbol_names.h"

// Everything here runs in a signal handler of a process that is lost anyway. So it may call what is not
// async-signal-safe. A second crash ends the process: the handlers are reset on entry.

namespace splicehost {

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr int kMaxFrames = 40;
// The handler itself and what the system calls it through.
constexpr int kOwnFrames = 2;
constexpr size_t kMaxName = 300;
constexpr size_t kAlternateStack = 256 << 10;

void print(const char* format, auto... arguments) {
  char line[512];
  int size = std::snprintf(line, sizeof line, format, arguments...);
  if (size > static_cast<int>(sizeof line)) size = sizeof line;
  if (write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0) return;
}

// The Haskell stack of the running thread: return addresses are info pointers, among other words.
void printHaskellStack(uintptr_t stackRegister) {
  Capability* capability = rts_unsafeGetMyCapability();
  if (capability == nullptr) return;
  StgTSO* thread = registersOf(capability).rCurrentTSO;
  if (thread == nullptr) return;
  StgStack* stack = thread->stackobj;
  StgPtr end = stack->stack + stack->stack_size;
  auto inStack = [&](uintptr_t p) {
    return p >= reinterpret_cast<uintptr_t>(stack->stack) && p < reinterpret_cast<uintptr_t>(end);
  };
  StgPtr sp = inStack(stackRegister) ? reinterpret_cast<StgPtr>(stackRegister) : stack->sp;
  print("Haskell stack (innermost first):\n");
  char name[kMaxName];
  int frames = 0;
  for (; sp < end && frames < kMaxFrames; ++sp) {
    auto* address = reinterpret_cast<void*>(*sp);
    if (linker::haskellName(address, name, sizeof name)) print("  %2d  %s\n", frames++, name);
  }
}

void report(int signal, siginfo_t* information, void* context) {
  for (int each : kSignals) ::signal(each, SIG_DFL);
  print("splicehost: interpreted code crashed: %s (signal %d), address %p\n", strsignal(signal), signal,
        information->si_addr);
  print("C stack (innermost first):\n");
  void* frames[kMaxFrames];
  int count = backtrace(frames, kMaxFrames);
  char name[kMaxName];
  for (int i = kOwnFrames; i < count; ++i) {
    bool known = linker::haskellName(frames[i], name, sizeof name) || linker::symbolName(frames[i], name, sizeof name);
    print("  %2d  %p  %s\n", i - kOwnFrames, frames[i], known ? name : "?");
  }
#if defined(__x86_64__)
  // GHC's registers (includes/stg/MachRegs.h): Sp is rbp.
  printHaskellStack(static_cast<uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RBP]));
#elif defined(__aarch64__)
  // Sp is x20.
  printHaskellStack(static_cast<uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.regs[20]));
#else
#error "the register that is GHC's Sp is not known"
#endif
  // Returning would run into a crash again; abort() comes here by raise().
  raise(signal);
}

}  // namespace

void installCrashReport() {
  // A stack overflow leaves no room on the stack. Only the main thread gets an alternate one; others
  // report on what they have.
  static stack_t alternate = {};
  void* memory = mmap(nullptr, kAlternateStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) {
    alternate.ss_sp = memory;
    alternate.ss_size = kAlternateStack;
    sigaltstack(&alternate, nullptr);
  }
  struct sigaction action = {};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // namespace splicehost
