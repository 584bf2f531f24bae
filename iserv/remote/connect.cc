#include "iserv/remote/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "iserv/remote/tls.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a command may take to end when it is told to, and how long to notice that its connection is closed.
constexpr milliseconds kCommandPatience{2000};

Error systemError(const std::string& what) { return Error{what + ": " + std::strerror(errno)}; }

Result<Connected> startCommand(const Destination& destination) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return systemError("socketpair");
  kj::AutoCloseFd own(ends[0]), theirs(ends[1]);
  pid_t pid = fork();
  if (pid < 0) return systemError("fork");
  if (pid == 0) {
    // ^C is for the splice, and the command is to pass that on.
    setpgid(0, 0);
    dup2(theirs.get(), STDIN_FILENO);
    dup2(theirs.get(), STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    execl("/bin/sh", "sh", "-c", destination.command.c_str(), nullptr);
    _exit(127);
  }
  setpgid(pid, pid);
  int fd = own.release();
  return Connected{plainStream(fd, fd), std::make_unique<Command>(pid)};
}

// Connects a socket that is not blocking.
Status finishConnecting(int fd, const sockaddr* address, socklen_t size, milliseconds patience) {
  if (connect(fd, address, size) == 0) return Done{};
  if (errno != EINPROGRESS && errno != EAGAIN) return Error{std::strerror(errno)};
  pollfd wait = {fd, POLLOUT, 0};
  int ready;
  do {
    ready = poll(&wait, 1, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    return Error{"it has not answered within " + std::to_string(patience.count() / 1000) + " s"};
  }
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return Error{std::strerror(error)};
  return Done{};
}

Result<Connected> connectUnix(const Destination& destination, milliseconds patience) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (destination.path.size() >= sizeof address.sun_path) return Error{"the path is too long for a socket"};
  std::memcpy(address.sun_path, destination.path.data(), destination.path.size());
  kj::AutoCloseFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // A listener whose queue is full says EAGAIN, and there is nothing to wait for.
  for (auto end = Clock::now() + patience;;) {
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) break;
    if (errno != EAGAIN || Clock::now() > end) return Error{std::strerror(errno)};
    std::this_thread::sleep_for(milliseconds(20));
  }
  int number = fd.release();
  return Connected{plainStream(number, number), nullptr};
}

Result<Connected> connectTcp(const Destination& destination, milliseconds patience) {
  bool loopback = isLoopback(destination.host);
  if (!loopback && destination.certificate.empty()) {
    return Error{"TCP to another machine needs TLS: name the certificate to check the target's against (certificate, "
                 "ISERV_CERTIFICATE)"};
  }
  if (destination.token.empty()) {
    return Error{"TCP needs the token that the target was given (token-file, ISERV_TOKEN_FILE)"};
  }
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  // Names are looked up by libraries that a static program has to load; addresses need none.
  std::string host = destination.host == "localhost" ? "127.0.0.1" : destination.host;
  int error = getaddrinfo(host.c_str(), destination.port.c_str(), &hints, &list);
  if (error == EAI_NONAME) {
    hints.ai_flags = AI_NUMERICSERV;
    error = getaddrinfo(host.c_str(), destination.port.c_str(), &hints, &list);
  }
  if (error != 0) return Error{destination.host + ": " + gai_strerror(error)};
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  Status connected = Error{"it has no address"};
  for (addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    kj::AutoCloseFd fd(socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) continue;
    connected = finishConnecting(fd.get(), entry->ai_addr, entry->ai_addrlen, patience);
    if (!connected) continue;
    tuneTcp(fd.get());
    if (destination.certificate.empty()) {
      int number = fd.release();
      return Connected{plainStream(number, number), nullptr};
    }
    auto stream = tlsToTarget(kj::mv(fd), destination.host, destination.certificate, patience);
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

Result<Connected> connectTo(const Destination& destination, milliseconds patience) {
  switch (destination.kind) {
    case Destination::Kind::kUnix:
      return connectUnix(destination, patience);
    case Destination::Kind::kTcp:
      return connectTcp(destination, patience);
    case Destination::Kind::kCommand:
      break;
  }
  return startCommand(destination);
}

Command::~Command() {
  // Its connection is closed, which ends it, unless something is wrong.
  if (ended(kCommandPatience)) return;
  kill(-pid_, SIGTERM);
  if (ended(kCommandPatience)) return;
  kill(-pid_, SIGKILL);
  (void)ended(kCommandPatience);
}

std::optional<std::string> Command::ended(milliseconds patience) {
  for (auto end = Clock::now() + patience;;) {
    int status = 0;
    if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    if (status_) {
      if (WIFSIGNALED(*status_)) return "was ended by signal " + std::to_string(WTERMSIG(*status_));
      return "ended with exit status " + std::to_string(WEXITSTATUS(*status_));
    }
    if (Clock::now() >= end) return std::nullopt;
    std::this_thread::sleep_for(milliseconds(1));
  }
}

}  // namespace splicehost::remote
