#include "iserv/remote/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "iserv/remote/lookup.h"
#include "iserv/remote/tls.h"
#include "protocol/system.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a command may take to end when it is told to, and how long to notice that its connection is closed.
constexpr milliseconds kCommandPatience{2000};
// Likewise if nobody needs it.
constexpr milliseconds kCancelledPatience{250};
// How often to look whether a listener has room for another connection.
constexpr int kLookAgainMs = 20;

// A command that does not look at its input would not see that its front end was killed. So a process between the two
// waits for the end of either: `life` is readable when the front end is gone.
[[noreturn]] void guard(pid_t command, int life) {
  signal(SIGTERM, SIG_IGN);
  kj::AutoCloseFd ended(static_cast<int>(syscall(SYS_pidfd_open, command, 0)));
  pollfd fds[] = {{ended.get(), POLLIN, 0}, {life, POLLIN, 0}};
  while (poll(fds, 2, -1) < 0 && errno == EINTR) continue;
  auto patience = static_cast<int>(kCancelledPatience.count());
  if (fds[0].revents == 0 && poll(fds, 1, patience) == 0) {
    kill(0, SIGTERM);
    if (poll(fds, 1, patience) == 0) kill(0, SIGKILL);
  }
  int status = 0;
  waitpid(command, &status, 0);
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  _exit(WEXITSTATUS(status));
}

Result<Connected> startCommand(const Destination& destination, Attention* attention) {
  int ends[2], life[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return systemError("socketpair");
  kj::AutoCloseFd own(ends[0]), theirs(ends[1]);
  if (pipe2(life, O_CLOEXEC) != 0) return systemError("pipe");
  kj::AutoCloseFd gone(life[0]), alive(life[1]);
  pid_t pid = fork();
  if (pid < 0) return systemError("fork");
  if (pid == 0) {
    // ^C is for the splice, and the command is to pass that on.
    setpgid(0, 0);
    if (attention != nullptr) attention->leave();
    dup2(theirs.get(), STDIN_FILENO);
    dup2(theirs.get(), STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    pid_t command = fork();
    if (command == 0) {
      execl("/bin/sh", "sh", "-c", destination.command.c_str(), nullptr);
      _exit(127);
    }
    // The connection is the command's alone, and so are whatever else it has.
    dup2(gone.get(), STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0u, 0);
    guard(command, STDIN_FILENO);
  }
  setpgid(pid, pid);
  int fd = own.release();
  return Connected{plainStream(fd, fd), std::make_unique<Command>(Process(pid), kj::mv(alive), attention)};
}

// Connects a socket that is not blocking.
Status finishConnecting(int fd, const sockaddr* address, socklen_t size, milliseconds patience, Attention* attention) {
  if (connect(fd, address, size) == 0) return Done{};
  if (errno != EINPROGRESS && errno != EAGAIN) return Error{std::strerror(errno)};
  pollfd wait[] = {{fd, POLLOUT, 0}};
  int ready;
  do {
    ready = poll(attention, wait, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return Error{std::strerror(errno)};
  if (ready == 0) {
    return Error{"it has not answered within " + std::to_string(patience.count() / 1000) + " s"};
  }
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return Error{std::strerror(error)};
  return Done{};
}

Result<Connected> connectUnix(const Destination& destination, milliseconds patience, Attention* attention) {
  Result<sockaddr_un> address = unixAddress(destination.path);
  if (!address) return address.error();
  kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // A listener whose queue is full says EAGAIN, and there is nothing to wait for.
  for (auto end = Clock::now() + patience;;) {
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) == 0) break;
    if (errno != EAGAIN || Clock::now() > end) return Error{std::strerror(errno)};
    if (poll(attention, {}, kLookAgainMs) < 0 && errno == ECANCELED) return Error{std::strerror(errno)};
  }
  int number = fd.release();
  return Connected{plainStream(number, number), nullptr};
}

Result<Connected> connectTcp(const Destination& destination, milliseconds patience, Attention* attention) {
  bool loopback = isLoopback(destination.host);
  if (!loopback && destination.certificate.empty()) {
    return Error{
        "TCP to another machine needs TLS: name the certificate to check the target's against (certificate, "
        "ISERV_CERTIFICATE)"};
  }
  if (destination.token.empty()) {
    return Error{"TCP needs the token that the target was given (token-file, ISERV_TOKEN_FILE)"};
  }
  // Names are looked up by libraries that a static program has to load; addresses need none.
  std::string host = destination.host == "localhost" ? "127.0.0.1" : destination.host;
  auto addresses = lookUp(host, destination.port, patience, attention);
  if (!addresses) return addresses.error();
  Status connected = Error{"it has no address"};
  for (const Address& entry : *addresses) {
    kj::AutoCloseFd fd(socket(entry.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) continue;
    auto* address = reinterpret_cast<const sockaddr*>(&entry.address);
    connected = finishConnecting(fd.get(), address, entry.size, patience, attention);
    if (!connected) continue;
    tuneTcp(fd.get());
    if (destination.certificate.empty()) {
      int number = fd.release();
      return Connected{plainStream(number, number), nullptr};
    }
    auto stream = tlsToTarget(kj::mv(fd), destination.host, destination.certificate, patience, attention);
    if (!stream) return stream.error();
    return Connected{std::move(*stream), nullptr};
  }
  return connected.error();
}

}  // namespace

bool isLoopback(const std::string& host) {
  in_addr four;
  in6_addr six;
  if (host == "localhost") return true;
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  return inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

Result<Destination> parseDestination(const std::string& text) {
  Destination destination;
  destination.text = text;
  if (text.starts_with("unix:")) {
    destination.kind = Destination::Kind::kUnix;
    destination.path = text.substr(5);
    if (!destination.path.starts_with('/')) return Error{"'" + text + "': a socket needs an absolute path"};
  } else if (text.starts_with("tcp:")) {
    destination.kind = Destination::Kind::kTcp;
    size_t colon = text.rfind(':');
    destination.port = text.substr(colon + 1);
    destination.host = colon > 4 ? text.substr(4, colon - 4) : "";
    // An IPv6 address.
    if (destination.host.starts_with('[') && destination.host.ends_with(']')) {
      destination.host = destination.host.substr(1, destination.host.size() - 2);
    }
    bool number = !destination.port.empty() && destination.port.find_first_not_of("0123456789") == std::string::npos;
    if (destination.host.empty() || !number) return Error{"'" + text + "' is not of the form tcp:HOST:PORT"};
  } else {
    destination.command = text;
    if (text.empty()) return Error{"there is no command to reach a target with"};
  }
  return destination;
}

Result<Connected> connectTo(const Destination& destination, milliseconds patience, Attention* attention) {
  switch (destination.kind) {
    case Destination::Kind::kUnix:
      return connectUnix(destination, patience, attention);
    case Destination::Kind::kTcp:
      return connectTcp(destination, patience, attention);
    case Destination::Kind::kCommand:
      break;
  }
  return startCommand(destination, attention);
}

Command::~Command() {
  auto patience = attention_ != nullptr && attention_->cancelled() ? kCancelledPatience : kCommandPatience;
  // Its connection is closed, which ends it, unless something is wrong.
  if (ended(patience)) return;
  kill(-process_.id(), SIGTERM);
  if (ended(patience)) return;
  kill(-process_.id(), SIGKILL);
  (void)ended(patience);
}

std::optional<std::string> Command::ended(milliseconds patience) {
  auto exit = process_.awaitEnd(patience.count());
  if (!exit) return std::nullopt;
  if (exit->signal != 0) return "was ended by signal " + std::to_string(exit->signal);
  return "ended with exit status " + std::to_string(exit->status);
}

}  // namespace splicehost::remote
