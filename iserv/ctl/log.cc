#include "iserv/ctl/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "iserv/ctl/broker_client.h"
#include "protocol/connection.h"
#include "protocol/system.h"

namespace splicehost::ctl {

namespace {

// A log that is read as it grows. A broker empties its log when it has become too large, and a new
// broker may make a new file.
class LogReader {
 public:
  explicit LogReader(std::string path) : path_(std::move(path)) {}

  // Copies to stdout what was not there before. False if there is no log.
  Result<bool> copyNews() {
    struct stat there;
    if (stat(path_.c_str(), &there) != 0) {
      if (errno == ENOENT) return false;
      return systemError();
    }
    if (file_.get() < 0 || there.st_ino != inode_) {
      file_ = kj::AutoCloseFd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
      if (file_.get() < 0) return systemError();
      inode_ = there.st_ino;
      done_ = 0;
    }
    if (there.st_size < done_) done_ = 0;
    std::byte buffer[64 << 10];
    for (;;) {
      ssize_t count = pread(file_.get(), buffer, sizeof buffer, done_);
      if (count < 0) return systemError();
      if (count == 0) return true;
      done_ += count;
      if (Status written = writeAll(STDOUT_FILENO, {buffer, static_cast<size_t>(count)}); !written) {
        return written.error().within("stdout");
      }
    }
  }

 private:
  Error systemError() const { return splicehost::systemError(path_); }

  std::string path_;
  kj::AutoCloseFd file_;
  ino_t inode_ = 0;
  off_t done_ = 0;
};

Status showLog(bool follow) {
  Result<BrokerPlace> place = BrokerPlace::own();
  if (!place) return place.error();
  LogReader log(place->log);
  for (;;) {
    Result<bool> there = log.copyNews();
    if (!there) return there.error();
    if (!follow && *there) return Done{};
    if (!follow) return Error{"no broker has run yet; there is no " + place->log};
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace

void addLog(CLI::App& app, int& status) {
  auto follow = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("log", "Print what the broker has written");
  command->add_flag("-f,--follow", *follow, "Go on with what it writes, until ^C");
  command->callback([follow, &status] {
    Status shown = showLog(*follow);
    if (!shown) std::fprintf(stderr, "iservctl: %s\n", shown.error().message.c_str());
    status = shown ? 0 : 1;
  });
}

}  // namespace splicehost::ctl
