#include "iserv/remote/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <span>

#include "protocol/connection.h"
#include "protocol/system.h"

namespace splicehost::remote {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

Result<std::vector<Address>> ask(const std::string& host, const std::string& port, int flags) {
  addrinfo hints = {}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  if (int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &list); error != 0) {
    return Error{host + ": " + gai_strerror(error)};
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  std::vector<Address> found;
  for (addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    Address& address = found.emplace_back();
    std::memcpy(&address.address, entry->ai_addr, entry->ai_addrlen);
    address.size = entry->ai_addrlen;
  }
  return found;
}

// Writes the addresses, or why there are none.
[[noreturn]] void answer(const std::string& host, const std::string& port, int fd) {
  auto found = ask(host, port, 0);
  Status written = found ? writeAll(fd, std::as_bytes(std::span(*found)))
                         : writeAll(fd, std::as_bytes(std::span(found.error().message)));
  _exit(found && written ? 0 : 1);
}

// All that is written there; fails if that takes too long.
Result<std::string> readAll(int fd, Milliseconds patience, Attention* attention) {
  std::string text;
  for (auto end = Clock::now() + patience;;) {
    auto left = std::chrono::ceil<Milliseconds>(end - Clock::now()).count();
    pollfd fds[] = {{fd, POLLIN, 0}};
    int ready = left <= 0 ? 0 : poll(attention, fds, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Error{std::strerror(errno)};
    if (ready == 0) {
      return Error{"no name server has answered within " + std::to_string(patience.count() / 1000) + " s"};
    }
    char buffer[4096];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

Result<std::vector<Address>> lookUp(const std::string& host, const std::string& port, Milliseconds patience,
                                    Attention* attention) {
  auto numeric = ask(host, port, AI_NUMERICHOST);
  if (numeric) return numeric;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return systemError("pipe");
  kj::AutoCloseFd reader(ends[0]), writer(ends[1]);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) return systemError("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (attention != nullptr) attention->leave();
    answer(host, port, writer.get());
  }
  writer = nullptr;
  auto text = readAll(reader.get(), patience, attention);
  if (!text) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!text) return text.error().within(host);
  if (status != 0) return Error{*text};
  std::vector<Address> found(text->size() / sizeof(Address));
  std::memcpy(found.data(), text->data(), found.size() * sizeof(Address));
  return found;
}

}  // namespace splicehost::remote
