#include "iserv/front_end/child.h"
#include "protocol/system.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

namespace splicehost {

Child::Child(const std::string& program, std::vector<std::string> arguments,
             std::optional<std::vector<std::string>> environment, const char* socketOption)
    : started_(Done{}) {
  uv_loop_init(&loop_);
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

  auto pointers = [](std::vector<std::string>& words) {
    std::vector<char*> result;
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
  };
  std::vector<char*> argv = pointers(arguments);
  std::vector<char*> variables;

  constexpr int kStreams = 3;
  uv_stdio_container_t stdio[kStreams];
  for (int fd = 0; fd < kStreams; ++fd) {
    stdio[fd].flags = UV_INHERIT_FD;
    stdio[fd].data.fd = fd;
  }

  uv_process_options_t options = {};
  options.file = program.c_str();
  options.args = argv.data();
  if (environment) {
    variables = pointers(*environment);
    options.env = variables.data();
  }
  options.stdio = stdio;
  options.stdio_count = kStreams;
  options.exit_cb = [](uv_process_t* process, int64_t status, int signal) {
    static_cast<Child*>(process->data)->exit_ = Exit{status, signal};
    uv_close(reinterpret_cast<uv_handle_t*>(process), nullptr);
  };
  process_.data = this;
  int error = uv_spawn(&loop_, &process_, &options);
  if (error != 0) {
    started_ = Error{program + ": " + uv_strerror(error)};
    uv_close(reinterpret_cast<uv_handle_t*>(&process_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
  }
}

Child::~Child() {
  if (started_.ok() && !exit_) {
    uv_process_kill(&process_, SIGKILL);
    uv_run(&loop_, UV_RUN_DEFAULT);
  }
  uv_loop_close(&loop_);
}

Child::Exit Child::wait(uint64_t patienceMs, Attention* attention) {
  uv_timer_t timer;
  uv_timer_init(&loop_, &timer);
  timer.data = &process_;
  uv_timer_start(
      &timer, [](uv_timer_t* expired) { uv_process_kill(static_cast<uv_process_t*>(expired->data), SIGKILL); },
      patienceMs, 0);
  for (bool cancelled = false; !exit_ && !cancelled;) {
    uv_run(&loop_, UV_RUN_NOWAIT);
    pollfd fds[] = {{uv_backend_fd(&loop_), POLLIN, 0}};
    cancelled = !exit_ && poll(attention, fds, uv_backend_timeout(&loop_)) < 0 && errno == ECANCELED;
  }
  if (!exit_) uv_process_kill(&process_, SIGKILL);
  while (!exit_) uv_run(&loop_, UV_RUN_ONCE);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  return *exit_;
}

}  // namespace splicehost
