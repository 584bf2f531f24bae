#include "iserv/remote/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace splicehost::remote {

namespace {

class PlainStream : public Stream {
 public:
  PlainStream(int in, int out) : in_(in), out_(out == in ? -1 : out), outNumber_(out) {
    struct stat status;
    socket_ = fstat(out, &status) == 0 && S_ISSOCK(status.st_mode);
    inSocket_ = fstat(in, &status) == 0 && S_ISSOCK(status.st_mode);
  }

  Result<Transferred> read(std::span<std::byte> target) override {
    Transferred result;
    // A pipe may be shared with other processes, which want it to block, so its mode stays as it is.
    if (!inSocket_ && !isReady(in_.get(), POLLIN)) {
      result.wantsToRead = true;
      return result;
    }
    ssize_t got = inSocket_ ? recv(in_.get(), target.data(), target.size(), MSG_DONTWAIT)
                            : ::read(in_.get(), target.data(), target.size());
    if (got > 0) {
      result.bytes = static_cast<size_t>(got);
    } else if (got == 0 || (errno == ECONNRESET && std::exchange(reset_, true))) {
      result.ended = true;
    } else if (errno == ECONNRESET) {
      // A Unix socket says so before it gives what the other side had sent.
      return read(target);
    } else if (errno == EAGAIN || errno == EINTR) {
      result.wantsToRead = true;
    } else {
      return Error{std::strerror(errno)};
    }
    return result;
  }

  Result<Transferred> write(std::span<const std::byte> bytes) override {
    Transferred result;
    if (!socket_ && !isReady(outNumber_, POLLOUT)) {
      result.wantsToWrite = true;
      return result;
    }
    // So much a pipe takes without blocking, if it takes anything.
    constexpr size_t kPipe = 4096;
    ssize_t put = socket_ ? send(outNumber_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(outNumber_, bytes.data(), std::min(bytes.size(), kPipe));
    if (put >= 0) {
      result.bytes = static_cast<size_t>(put);
    } else if (errno == EAGAIN || errno == EINTR) {
      result.wantsToWrite = true;
    } else {
      return Error{std::strerror(errno)};
    }
    return result;
  }

  void endWriting() override {
    if (socket_) {
      shutdown(outNumber_, SHUT_WR);
    } else {
      out_ = nullptr;
    }
  }

  int readFd() const override { return in_.get(); }
  int writeFd() const override { return outNumber_; }

 private:
  static bool isReady(int fd, short events) {
    pollfd look = {fd, events, 0};
    return ::poll(&look, 1, 0) > 0;
  }

  kj::AutoCloseFd in_;
  kj::AutoCloseFd out_;  // none if it is the same
  int outNumber_;
  bool socket_ = false;
  bool inSocket_ = false;
  bool reset_ = false;
};

}  // namespace

std::unique_ptr<Stream> plainStream(int in, int out) { return std::make_unique<PlainStream>(in, out); }

void tuneTcp(int fd) {
  auto set = [fd](int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 3);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 15'000);
}

}  // namespace splicehost::remote
