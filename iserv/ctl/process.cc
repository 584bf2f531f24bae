#include "iserv/ctl/process.h"

#include <signal.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <thread>

#include "iserv/base/process.h"

namespace splicehost::ctl {

namespace {

constexpr size_t kMaxCapture = 1 << 20;
// How long output is awaited from what a command left running.
constexpr uint64_t kLeftoverMs = 1000;

std::string trimmed(const std::string& text) {
  constexpr char kBlank[] = " \t\r\n";
  size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

}  // namespace

std::string Finished::complaint() const {
  if (!notStarted.empty()) return notStarted;
  if (outOfTime) return "no end after " + std::to_string(limit.count()) + " s";
  std::string said = trimmed(errors);
  if (!said.empty()) return said;
  if (signal != 0) return std::string("ended by a signal: ") + strsignal(signal);
  return "exit status " + std::to_string(status);
}

// A running command: its process, the pipes that it writes to, and a timer. It is over when libuv
// has let go of all four.
class ProcessRunner::Child {
 public:
  Child(uv_loop_t* loop, const Command& command, Finished* result) : result_(result) {
    result_->limit = command.limit;
    process_.data = timer_.data = this;
    uv_timer_init(loop, &timer_);
    open_ = 2;
    for (Stream& stream : streams_) {
      stream.child = this;
      stream.pipe.data = &stream;
      uv_pipe_init(loop, &stream.pipe, 0);
      ++open_;
    }
    streams_[0].text = &result_->output;
    streams_[1].text = &result_->errors;
    spawn(loop, command);
  }

  bool over() const { return open_ == 0; }

  void kill() {
    if (!exited_) ::kill(-process_.pid, SIGKILL);
  }

 private:
  struct Stream {
    Child* child;
    uv_pipe_t pipe;
    std::string* text;
    char buffer[16 << 10];
  };

  void spawn(uv_loop_t* loop, const Command& command) {
    std::vector<char*> argv;
    for (const std::string& word : command.words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);

    uv_stdio_container_t stdio[3] = {};
    stdio[0].flags = UV_IGNORE;
    for (int i = 0; i < 2; ++i) {
      stdio[i + 1].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
      stdio[i + 1].data.stream = reinterpret_cast<uv_stream_t*>(&streams_[i].pipe);
    }
    uv_process_options_t options = {};
    options.file = argv[0];
    options.args = argv.data();
    options.cwd = command.directory.empty() ? nullptr : command.directory.c_str();
    options.flags = UV_PROCESS_DETACHED;
    options.stdio = stdio;
    options.stdio_count = 3;
    options.exit_cb = [](uv_process_t* process, int64_t status, int signal) {
      static_cast<Child*>(process->data)->onExit(status, signal);
    };
    if (int error = uv_spawn(loop, &process_, &options); error != 0) {
      result_->notStarted = command.words[0] + ": " + uv_strerror(error);
      exited_ = true;
      close(&process_);
      closeStreams();
      return;
    }
    uint64_t limit = static_cast<uint64_t>(std::chrono::milliseconds(command.limit).count());
    uv_timer_start(&timer_, onTime, limit, 0);
    for (Stream& stream : streams_) {
      uv_read_start(
          reinterpret_cast<uv_stream_t*>(&stream.pipe),
          [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
            Stream& stream = *static_cast<Stream*>(handle->data);
            *buffer = uv_buf_init(stream.buffer, sizeof stream.buffer);
          },
          [](uv_stream_t* pipe, ssize_t count, const uv_buf_t* buffer) {
            Stream& stream = *static_cast<Stream*>(pipe->data);
            if (count < 0) return stream.child->closeStream(stream);
            size_t room = kMaxCapture - stream.text->size();
            stream.text->append(buffer->base, std::min(static_cast<size_t>(count), room));
          });
    }
  }

  void onExit(int64_t status, int signal) {
    result_->status = status;
    result_->signal = signal;
    exited_ = true;
    close(&process_);
    uv_timer_start(&timer_, onTime, kLeftoverMs, 0);
    closeTimerIfLast();
  }

  static void onTime(uv_timer_t* timer) {
    Child& child = *static_cast<Child*>(timer->data);
    if (!child.exited_) child.result_->outOfTime = true;
    ::kill(-child.process_.pid, SIGKILL);
    child.closeStreams();
  }

  template <typename Handle>
  void close(Handle* handle) {
    auto* base = reinterpret_cast<uv_handle_t*>(handle);
    if (uv_is_closing(base)) return;
    base->data = this;
    uv_close(base, [](uv_handle_t* closed) { --static_cast<Child*>(closed->data)->open_; });
  }

  void closeStream(Stream& stream) {
    close(&stream.pipe);
    closeTimerIfLast();
  }

  void closeStreams() {
    for (Stream& stream : streams_) closeStream(stream);
  }

  void closeTimerIfLast() {
    bool reading = std::any_of(std::begin(streams_), std::end(streams_), [](const Stream& stream) {
      return !uv_is_closing(reinterpret_cast<const uv_handle_t*>(&stream.pipe));
    });
    if (exited_ && !reading) close(&timer_);
  }

  Finished* result_;
  uv_process_t process_ = {};
  uv_timer_t timer_ = {};
  Stream streams_[2] = {};
  int open_ = 0;
  bool exited_ = false;
};

ProcessRunner::ProcessRunner() {
  uv_loop_init(&loop_);
  constexpr int kNumbers[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < std::size(kNumbers); ++i) {
    uv_signal_init(&loop_, &signals_[i]);
    signals_[i].data = this;
    uv_signal_start(
        &signals_[i], [](uv_signal_t* handle, int) { static_cast<ProcessRunner*>(handle->data)->onSignal(); },
        kNumbers[i]);
    uv_unref(reinterpret_cast<uv_handle_t*>(&signals_[i]));
  }
}

ProcessRunner::~ProcessRunner() {
  for (uv_signal_t& handle : signals_) uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

void ProcessRunner::onSignal() {
  interrupted_ = true;
  for (auto& child : running_) child->kill();
}

std::vector<Finished> ProcessRunner::runAll(const std::vector<Command>& commands) {
  std::vector<Finished> results(commands.size());
  size_t parallel = std::max(1u, std::thread::hardware_concurrency());
  size_t next = 0;
  // A signal that came between two calls is waiting in the loop.
  uv_run(&loop_, UV_RUN_NOWAIT);
  for (;;) {
    while (next < commands.size() && running_.size() < parallel && !interrupted_) {
      running_.push_back(std::make_unique<Child>(&loop_, commands[next], &results[next]));
      ++next;
    }
    if (running_.empty()) return results;
    uv_run(&loop_, UV_RUN_ONCE);
    std::erase_if(running_, [](const auto& child) { return child->over(); });
  }
}

Result<int> runInForeground(const std::vector<std::string>& words) {
  for (int number : {SIGINT, SIGQUIT}) signal(number, SIG_IGN);
  auto process = Process::start({.program = words[0], .arguments = words, .resetsSignals = false});
  if (!process) return process.error();
  auto exit = *process->awaitEnd(-1);
  for (int number : {SIGINT, SIGQUIT}) signal(number, SIG_DFL);
  return exit.signal != 0 ? 128 + exit.signal : static_cast<int>(exit.status);
}

}  // namespace splicehost::ctl
