#include "iserv/front_end/child.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

#include "protocol/system.h"

namespace splicehost {

Child::Child(const std::string& program, std::vector<std::string> arguments,
             std::optional<std::vector<std::string>> environment, const char* socketOption)
    : started_(Done{}) {
  kj::AutoCloseFd childEnd;
  if (socketOption != nullptr) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      started_ = systemError("socketpair");
      return;
    }
    socket_ = kj::AutoCloseFd(ends[0]);
    childEnd = kj::AutoCloseFd(ends[1]);
    // At the number that it has here, which is nobody else's.
    fcntl(childEnd.get(), F_SETFD, 0);
    arguments.insert(arguments.begin() + 1, {socketOption, std::to_string(childEnd.get())});
  }
  Result<Process> process = Process::start({program, std::move(arguments), std::move(environment)});
  if (process) {
    process_.emplace(std::move(*process));
  } else {
    started_ = process.error();
  }
}

}  // namespace splicehost
