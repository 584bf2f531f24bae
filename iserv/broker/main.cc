// iservd: the program of the broker. Front ends start it; it goes by itself.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

#include "iserv/base/configuration.h"
#include "iserv/base/notice.h"
#include "iserv/base/process_identity.h"
#include "iserv/broker/broker.h"
#include "iserv/broker/rendezvous.h"
#include "protocol/system.h"

namespace splicehost::broker {
namespace {

constexpr char kUsage[] =
    "usage: iservd [--foreground]\n"
    "\n"
    "The broker, through which compiles share libraries that are loaded. Front ends start it when they\n"
    "need it; `iservctl` tells what it does and stops it.\n"
    "\n"
    "Without an option: starts the broker in the background, unless it runs already, and ends as soon as\n"
    "it accepts connections.\n"
    "  --foreground   be the broker, and log to stderr\n";

// How long another process may take to become the broker.
constexpr std::chrono::seconds kPatience(2);

int complain(const std::string& message) {
  std::fprintf(stderr, "iservd: %s\n", message.c_str());
  return 1;
}

// What the broker and its zygotes must not have from whoever happened to start it. (Sessions get what
// their clients have.)
void forgetProcessContext() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (auto resource : {RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE}) {
    rlimit limit;
    if (getrlimit(resource, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(resource, &limit);
  }
}

// Becomes the broker, having the lock; calls `ready` when it accepts connections. Returns only if it
// cannot.
template <typename Ready>
Error serve(Rendezvous& rendezvous, const std::string& program, Ready ready) {
  Result<Configuration> configuration = readConfiguration();
  if (!configuration) return configuration.error();
  Result<kj::AutoCloseFd> socket = rendezvous.listen();
  if (!socket) return socket.error();
  if (chdir("/") != 0) return systemError("/");
  // Threads for files that are read (Digests::kMostAtOnce), and some for other things.
  setenv("UV_THREADPOOL_SIZE", "8", 1);
  uv_loop_t loop;
  uv_loop_init(&loop);
  Log log(STDERR_FILENO);
  log.limit();
  Broker broker(loop, log, *configuration, rendezvous, kj::mv(*socket), program);
  ready();
  uv_run(&loop, UV_RUN_DEFAULT);
  // Nothing is worth being tidied up, and files may be being read on other threads.
  _exit(0);
}

// Waits until this process has the lock (true) or somebody else is the broker (false).
Result<bool> lockOrMeet(Rendezvous& rendezvous) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!rendezvous.isServed()) {
    Result<bool> locked = rendezvous.lock();
    if (!locked || *locked) return locked;
    if (std::chrono::steady_clock::now() > deadline) {
      return Error{"another broker does not accept connections; end it (its log: " + rendezvous.logFile() + ")"};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

// The standard streams of a process in the background.
Status redirect(const std::string& logFile) {
  kj::AutoCloseFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null.get() < 0) return systemError("/dev/null");
  kj::AutoCloseFd log(open(logFile.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (log.get() < 0) return systemError(logFile);
  dup2(null.get(), STDIN_FILENO);
  dup2(null.get(), STDOUT_FILENO);
  dup2(log.get(), STDERR_FILENO);
  return Done{};
}

// Each compile tries to start a broker.
int complainOnce(const Rendezvous& rendezvous, const std::string& message) {
  return isNews(rendezvous.socketPath(), message) ? complain(message) : 1;
}

int runInBackground(Rendezvous& rendezvous, const std::string& program) {
  Result<bool> locked = lockOrMeet(rendezvous);
  if (!locked) return complainOnce(rendezvous, locked.error().message);
  if (!*locked) return 0;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return complain(systemError("pipe").message);
  kj::AutoCloseFd parentEnd(ends[0]), childEnd(ends[1]);
  pid_t child = fork();
  if (child < 0) return complain(systemError("fork").message);
  if (child > 0) {
    childEnd = nullptr;
    // One NUL, or why it could not become the broker.
    char answer[1024];
    ssize_t size = read(parentEnd.get(), answer, sizeof answer);
    if (size > 0 && answer[0] == '\0') return 0;
    return complainOnce(rendezvous, size > 0 ? std::string(answer, static_cast<size_t>(size)) : "the broker has died");
  }
  parentEnd = nullptr;
  // See Note [Terminal sessions].
  if (hasTerminal()) {
    setpgid(0, 0);
  } else {
    setsid();
  }
  Status redirected = redirect(rendezvous.logFile());
  auto tell = [&](std::string_view what) {
    [[maybe_unused]] ssize_t written = write(childEnd.get(), what.data(), what.size());
    childEnd = nullptr;
  };
  Error error = redirected ? serve(rendezvous, program, [&] { tell(std::string_view("\0", 1)); }) : redirected.error();
  rendezvous.giveUp();
  tell(error.message);
  _exit(1);
}

int runInForeground(Rendezvous& rendezvous, const std::string& program) {
  Result<bool> locked = rendezvous.lock();
  if (locked && !*locked) return complain("a broker runs already");
  Error error = locked ? serve(rendezvous, program, [] {}) : locked.error();
  rendezvous.giveUp();
  return complain(error.message);
}

int main(int argc, char* argv[]) {
  std::string_view option = argc > 1 ? argv[1] : "";
  if (argc == 2 && option == "--help") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  bool foreground = option == "--foreground";
  if (argc > 2 || (argc == 2 && !foreground)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  // Nothing that a client has open is kept open by the broker. What is opened here must not get the number of a
  // standard stream that the client has closed.
  close_range(STDERR_FILENO + 1, ~0u, 0);
  int null = 0;
  while (null >= 0 && null <= STDERR_FILENO) null = open("/dev/null", O_RDWR);
  close(null);
  umask(S_IRWXG | S_IRWXO);
  forgetProcessContext();
  std::error_code failure;
  std::string program = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure) return complain("/proc/self/exe: " + failure.message());
  Result<Rendezvous> rendezvous = Rendezvous::find(program);
  if (!rendezvous) return complain(rendezvous.error().message);
  return foreground ? runInForeground(*rendezvous, program) : runInBackground(*rendezvous, program);
}

}  // namespace
}  // namespace splicehost::broker

int main(int argc, char* argv[]) { return splicehost::broker::main(argc, argv); }
