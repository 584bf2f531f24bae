#include "iserv/broker/rendezvous.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "iserv/runtime_folder.h"

namespace splicehost::broker {

namespace {

constexpr int kBacklog = 256;

Error systemError(const std::string& what) { return Error{what + ": " + std::strerror(errno)}; }

// runtimeFolder() makes sure that the path fits.
sockaddr_un addressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

kj::AutoCloseFd packetSocket() {
  return kj::AutoCloseFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

}  // namespace

Result<Rendezvous> Rendezvous::find(const std::string& program) {
  auto folder = runtimeFolder();
  if (!folder) return folder.error();
  auto name = brokerSocketName(program);
  if (!name) return name.error();
  Rendezvous result;
  result.folder_ = *folder;
  result.socketPath_ = *folder + "/" + *name;
  return result;
}

bool Rendezvous::isServed() const {
  kj::AutoCloseFd socket = packetSocket();
  sockaddr_un address = addressOf(socketPath_);
  return connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
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
    if (stat(lockPath().c_str(), &present) == 0 && locked.st_dev == present.st_dev &&
        locked.st_ino == present.st_ino) {
      lock_ = kj::mv(file);
      return true;
    }
  }
}

Result<kj::AutoCloseFd> Rendezvous::listen() {
  kj::AutoCloseFd socket = packetSocket();
  sockaddr_un address = addressOf(socketPath_);
  unlink(socketPath_.c_str());
  struct stat status;
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), kBacklog) != 0 || lstat(socketPath_.c_str(), &status) != 0) {
    return systemError(socketPath_);
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return socket;
}

bool Rendezvous::isOurs() const {
  struct stat status;
  return lstat(socketPath_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

void Rendezvous::giveUp() {
  if (isOurs()) unlink(socketPath_.c_str());
  if (lock_ == nullptr) return;
  struct stat locked, present;
  if (fstat(lock_.get(), &locked) == 0 && stat(lockPath().c_str(), &present) == 0 &&
      locked.st_dev == present.st_dev && locked.st_ino == present.st_ino) {
    unlink(lockPath().c_str());
  }
  lock_ = nullptr;
}

}  // namespace splicehost::broker
