// A meter between GHC and an external interpreter: it relays their bytes and measures how long GHC
// had to wait.
//
// GHC starts an external interpreter as `PROG<suffix> <write-fd> <read-fd> [options]`, where the
// suffix (nothing, -prof or -dyn) names the way. With `-pgmi DIR/meter`, and the meter linked in
// DIR under its three names, the meter is that program. It starts the real interpreter,
// $SPLICEHOST_METER_TARGET with the same suffix, with the same arguments: a pipe pair of the
// meter's takes the place of GHC's under the very same descriptor numbers.
//
// What it measures is the interpreter wait: the time during which it is the interpreter's turn,
// from the last byte of each request to the first byte of the answer. Whenever bytes come from GHC
// the clock is set; the first bytes that come from the interpreter after that end the turn. A slow
// start-up counts, because GHC sends its first request without waiting for the interpreter to be
// ready. One line of JSON is appended to $SPLICEHOST_METER_OUT at the end; it has the time of every
// turn, by the kind of message, if $SPLICEHOST_METER_GHC is a version of GHC whose messages are known.
//
// GHC and the interpreter must not notice the meter. It therefore keeps the directions apart (a
// full pipe one way never holds up the other), passes on an end of file and a broken pipe, passes
// on signals that were meant for the interpreter, and ends as the interpreter ended, by the same
// exit status or the same signal. It is the interpreter's parent and does not end before it.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/ledger.h"

namespace {

using splicehost::Ledger;
namespace ghc = splicehost::ghc;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "meter: %s\n", what.c_str());
  std::exit(1);
}

[[noreturn]] void failErrno(const std::string& what) { fail(what + ": " + std::strerror(errno)); }

// One direction of the relay: the descriptor that it reads, the one that it writes, and what is
// between. It owns both, and closes them when nobody reads the far end any more, so that the writer
// at the near end learns of it as it would without the meter.
class Channel {
 public:
  Channel(int from, int to) : from_(from), to_(to) {
    setNonBlocking(from);
    setNonBlocking(to);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() { close(); }

  bool open() const { return from_ >= 0; }
  bool empty() const { return start_ == end_; }

  // The near end has closed its pipe: nothing more will come.
  bool ended() const { return ended_; }

  // What to wait for: room to write what is held, or else something to read. That the far end has
  // gone away (POLLERR) is reported in any case.
  std::array<pollfd, 2> interests() const {
    const bool reading = empty() && !ended_;
    return {pollfd{reading ? from_ : -1, POLLIN, 0}, pollfd{to_, static_cast<short>(empty() ? 0 : POLLOUT), 0}};
  }

  // Acts on what poll() said of interests(). Tells onBytes what came, before it is written: from then
  // on the far end is at work.
  template <typename OnBytes>
  void pump(const pollfd* ready, OnBytes onBytes) {
    if (!open()) return;
    if (ready[1].revents & POLLERR) {
      close();
      return;
    }
    if (ready[0].revents != 0) {
      fill();
      if (!empty()) onBytes(std::as_bytes(std::span(buffer_.data(), end_)));
    }
    if (!empty()) drain();
  }

  void close() {
    if (!open()) return;
    ::close(from_);
    ::close(to_);
    from_ = to_ = -1;
    start_ = end_ = 0;
    ended_ = true;
  }

 private:
  static void setNonBlocking(int fd) {
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
      failErrno("descriptor " + std::to_string(fd));
    }
  }

  static bool wouldBlock() { return errno == EAGAIN || errno == EINTR; }

  void fill() {
    const ssize_t got = read(from_, buffer_.data(), buffer_.size());
    if (got > 0) {
      start_ = 0;
      end_ = static_cast<size_t>(got);
    } else if (got == 0 || !wouldBlock()) {
      ended_ = true;
    }
  }

  void drain() {
    const ssize_t put = write(to_, buffer_.data() + start_, end_ - start_);
    if (put > 0) {
      start_ += static_cast<size_t>(put);
    } else if (!wouldBlock()) {
      close();
    }
  }

  int from_;
  int to_;
  std::vector<char> buffer_ = std::vector<char>(1 << 16);  // the size of a pipe
  size_t start_ = 0;
  size_t end_ = 0;
  bool ended_ = false;
};

// What the meter was told by its name, its arguments and its environment.
struct Request {
  std::string way;          // the suffix that GHC chose: "", "-prof" or "-dyn"
  std::string interpreter;  // the program to start
  const char* resultsFile;
  const ghc::Version* version;  // of GHC, or null if it is not known
  int writeFd;                  // GHC reads from this
  int readFd;                   // GHC writes to this
  char** arguments;
};

const char* requiredVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') fail(std::string(name) + " is not set");
  return value;
}

std::string waySuffix(std::string_view program) {
  for (std::string_view suffix : {"-prof", "-dyn"}) {
    if (program.ends_with(suffix)) return std::string(suffix);
  }
  return "";
}

int descriptor(const char* text) {
  char* end;
  const long fd = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || fd < 0 || fcntl(static_cast<int>(fd), F_GETFD) < 0) {
    fail(std::string("not an open descriptor: ") + text);
  }
  return static_cast<int>(fd);
}

Request readRequest(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: meter <write-fd> <read-fd> [options]\n"
                 "Started by GHC, through -fexternal-interpreter -pgmi .../meter, with\n"
                 "SPLICEHOST_METER_TARGET (interpreter to measure) and SPLICEHOST_METER_OUT (file\n"
                 "that gets one line of JSON) in the environment.\n");
    std::exit(2);
  }
  const std::string way = waySuffix(argv[0]);
  const char* version = std::getenv("SPLICEHOST_METER_GHC");
  return Request{way,
                 requiredVariable("SPLICEHOST_METER_TARGET") + way,
                 requiredVariable("SPLICEHOST_METER_OUT"),
                 ghc::findVersion(version == nullptr ? "" : version),
                 descriptor(argv[1]),
                 descriptor(argv[2]),
                 argv};
}

// The signals that somebody may send to what they take for the interpreter, and the news of its
// end.
sigset_t handledSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD}) {
    sigaddset(&set, signal);
  }
  return set;
}

// The interpreter, with a pipe pair of the meter's under the descriptor numbers that GHC chose.
struct Interpreter {
  pid_t pid;
  int requests;  // the meter writes what GHC sends
  int answers;   // the meter reads what GHC gets
};

// Starts the interpreter. `signals` is the signal mask that the meter was started with, and the one
// that the interpreter gets.
Interpreter startInterpreter(const Request& request, const sigset_t& signals) {
  int requests[2], answers[2];
  if (pipe2(requests, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) failErrno("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, requests[0], request.readFd);
  posix_spawn_file_actions_adddup2(&actions, answers[1], request.writeFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &signals);

  std::vector<char*> arguments;
  arguments.push_back(const_cast<char*>(request.interpreter.c_str()));
  for (char** argument = request.arguments + 1; *argument != nullptr; ++argument) {
    arguments.push_back(*argument);
  }
  arguments.push_back(nullptr);

  pid_t pid;
  errno = posix_spawn(&pid, request.interpreter.c_str(), &actions, &attributes, arguments.data(), environ);
  if (errno != 0) failErrno(request.interpreter);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(requests[0]);
  close(answers[1]);
  return Interpreter{pid, requests[1], answers[0]};
}

// Passes on the signals that have come. What the terminal or the kernel sends, the interpreter gets
// without the meter's help; what a process sent, it sent to the meter alone.
void passOnSignals(int signalFd, pid_t interpreter) {
  signalfd_siginfo info;
  while (read(signalFd, &info, sizeof info) == sizeof info) {
    const bool sentByProcess = info.ssi_code <= 0;
    if (info.ssi_signo != SIGCHLD && sentByProcess) {
      kill(interpreter, static_cast<int>(info.ssi_signo));
    }
  }
}

// How long an interpreter that has closed its answers may take to end before GHC is told that the
// answers are closed. GHC looks at once whether the process has ended, and reports a crash only if
// it has; the meter must not be slower to end than the interpreter was.
constexpr int kClosingGraceMilliseconds = 100;

// Carries bytes both ways until the interpreter has ended and everything it wrote has been passed
// on. Returns its wait status.
int relay(Channel& toInterpreter, Channel& toGhc, pid_t interpreter, int signalFd, Ledger& ledger) {
  bool ended = false;
  int status = 0;
  while (!ended || toGhc.open()) {
    const std::array<pollfd, 2> down = toInterpreter.interests();
    const std::array<pollfd, 2> up = toGhc.interests();
    std::array<pollfd, 5> all = {up[0], up[1], down[0], down[1], pollfd{signalFd, POLLIN, 0}};
    const bool closing = toGhc.open() && toGhc.ended() && toGhc.empty();
    if (ended && closing) break;
    // From an interpreter that has ended nothing more can come: look for a rest, but do not wait.
    const bool lookOnly = ended && toGhc.empty();
    const int timeout = lookOnly ? 0 : closing ? kClosingGraceMilliseconds : -1;
    const int ready = poll(all.data(), all.size(), timeout);
    if (ready < 0 && errno != EINTR) failErrno("poll");
    if (ready == 0 && lookOnly) break;
    if (ready == 0) toGhc.close();
    if (ready <= 0) continue;

    toGhc.pump(&all[0], [&](ghc::Bytes bytes) { ledger.fromInterpreter(bytes); });
    toInterpreter.pump(&all[2], [&](ghc::Bytes bytes) { ledger.fromGhc(bytes); });
    if (toInterpreter.ended() && toInterpreter.empty()) toInterpreter.close();
    if (all[4].revents != 0 && !ended) {
      passOnSignals(signalFd, interpreter);
      ended = waitpid(interpreter, &status, WNOHANG) == interpreter;
    }
  }
  return status;
}

// A result that cannot be written is not worth failing a compile for: whoever reads the results
// finds that one is missing.
void appendResult(const char* file, const std::string& line) {
  const int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    std::fprintf(stderr, "meter: %s: %s\n", file, std::strerror(errno));
  }
  close(fd);
}

// Ends as the interpreter ended, so that GHC reports what it would have reported.
[[noreturn]] void endLike(int status) {
  if (WIFSIGNALED(status)) {
    const rlimit noCoreFile = {0, 0};
    setrlimit(RLIMIT_CORE, &noCoreFile);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    signal(WTERMSIG(status), SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    kill(getpid(), WTERMSIG(status));
  }
  _exit(WEXITSTATUS(status));
}

}  // namespace

int main(int argc, char** argv) {
  const Request request = readRequest(argc, argv);
  const sigset_t handled = handledSignals();
  sigset_t original;
  sigprocmask(SIG_BLOCK, &handled, &original);
  const Interpreter interpreter = startInterpreter(request, original);
  signal(SIGPIPE, SIG_IGN);  // only now: the interpreter would have inherited it
  const int signalFd = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signalFd < 0) failErrno("signalfd");

  Channel toInterpreter(request.readFd, interpreter.requests);
  Channel toGhc(interpreter.answers, request.writeFd);
  Ledger ledger;
  const int status = relay(toInterpreter, toGhc, interpreter.pid, signalFd, ledger);
  appendResult(request.resultsFile, ledger.toJson(request.way, request.version));
  endLike(status);
}
