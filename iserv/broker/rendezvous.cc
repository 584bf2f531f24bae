#include "iserv/broker/rendezvous.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "iserv/base/notice.h"
#include "iserv/base/runtime_directory.h"
#include "protocol/system.h"

namespace splicehost::broker {

namespace {

constexpr int kBacklog = 256;
constexpr std::string_view kLogSuffix = ".log";
constexpr std::chrono::hours kKeepLogs(7 * 24);

kj::AutoCloseFd packetSocket() { return kj::AutoCloseFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

}  // namespace

Result<Rendezvous> Rendezvous::find(const std::string& program) {
  auto directory = runtimeDirectory();
  if (!directory) return directory.error();
  auto name = brokerSocketName(program);
  if (!name) return name.error();
  Rendezvous result;
  result.directory_ = *directory;
  result.socketPath_ = *directory + "/" + *name;
  return result;
}

bool Rendezvous::isServed() const {
  kj::AutoCloseFd socket = packetSocket();
  Result<sockaddr_un> address = unixAddress(socketPath_);
  return address && connect(socket.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) == 0;
}

Result<bool> Rendezvous::lock() {
  for (;;) {
    kj::AutoCloseFd file(open(lockPath().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0) return systemError(lockPath());
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return false;
      return systemError(lockPath());
    }
    struct stat locked, present;
    if (fstat(file.get(), &locked) != 0) return systemError(lockPath());
    if (stat(lockPath().c_str(), &present) == 0 && locked.st_dev == present.st_dev && locked.st_ino == present.st_ino) {
      lock_ = kj::mv(file);
      return true;
    }
  }
}

Result<kj::AutoCloseFd> Rendezvous::listen() {
  kj::AutoCloseFd socket = packetSocket();
  Result<sockaddr_un> address = unixAddress(socketPath_);
  if (!address) return address.error();
  unlink(socketPath_.c_str());
  struct stat status;
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(socket.get(), kBacklog) != 0 || lstat(socketPath_.c_str(), &status) != 0) {
    return systemError(socketPath_);
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
  removeOldLogs();
  forgetNotices(socketPath_);
  return socket;
}

void Rendezvous::removeOldLogs() const {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    std::string path = entry.path();
    if (!path.ends_with(kLogSuffix)) continue;
    std::string socket = path.substr(0, path.size() - kLogSuffix.size());
    auto written = fs::last_write_time(entry, error);
    if (!error && fs::file_time_type::clock::now() - written > kKeepLogs && !fs::exists(socket, error)) {
      fs::remove(entry, error);
    }
  }
}

bool Rendezvous::isOurs() const {
  struct stat status;
  return lstat(socketPath_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

void Rendezvous::giveUp() {
  if (isOurs()) unlink(socketPath_.c_str());
  if (lock_ == nullptr) return;
  struct stat locked, present;
  if (fstat(lock_.get(), &locked) == 0 && stat(lockPath().c_str(), &present) == 0 && locked.st_dev == present.st_dev &&
      locked.st_ino == present.st_ino) {
    unlink(lockPath().c_str());
  }
  lock_ = nullptr;
}

}  // namespace splicehost::broker
