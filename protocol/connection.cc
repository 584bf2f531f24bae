#include "protocol/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "protocol/ghc_messages.h"

namespace splicehost {

namespace {

// A message holds at most one message of GHC's and a few bytes; both sides count their own words.
constexpr capnp::ReaderOptions kReaderOptions{2 * ghc::kMessageLimit / sizeof(capnp::word), 128};

}  // namespace

Status writeAll(int fd, ghc::Bytes bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return Error{std::string("write: ") + std::strerror(errno)};
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return Done{};
}

Connection::Connection(kj::AutoCloseFd fd)
    : fd_(kj::mv(fd)), input_(std::make_unique<Input>(fd_.get())) {}

Status Connection::send(capnp::MessageBuilder& message) {
  kj::Array<capnp::word> words;
  auto segments = message.getSegmentsForOutput();
  if (segments.size() == 1 && segments[0].size() < 4096) {
    // One system call for what nearly every message is.
    words = capnp::messageToFlatArray(segments);
    auto bytes = words.asBytes();
    return writeAll(fd_.get(), {reinterpret_cast<const std::byte*>(bytes.begin()), bytes.size()});
  }
  try {
    capnp::writeMessageToFd(fd_.get(), segments);
  } catch (const kj::Exception& e) {
    return Error{e.getDescription().cStr()};
  }
  return Done{};
}

Result<capnp::MessageReader*> Connection::receive() {
  message_.reset();
  try {
    if (input_->atEnd()) return static_cast<capnp::MessageReader*>(nullptr);
    message_ = std::make_unique<capnp::InputStreamMessageReader>(*input_, kReaderOptions);
  } catch (const kj::Exception& e) {
    return Error{e.getDescription().cStr()};
  }
  return message_.get();
}

size_t Connection::Input::readFd(void* target, size_t size) {
  for (;;) {
    ssize_t got = ::read(fd_, target, size);
    if (got >= 0) return static_cast<size_t>(got);
    // A reset is how a hang-up looks if the other side had not read everything.
    if (errno == ECONNRESET) return 0;
    if (errno != EINTR) KJ_FAIL_SYSCALL("read", errno);
  }
}

bool Connection::Input::atEnd() {
  if (begin_ < end_) return false;
  begin_ = 0;
  end_ = readFd(buffer_.data(), buffer_.size());
  return end_ == 0;
}

size_t Connection::Input::tryRead(void* target, size_t minBytes, size_t maxBytes) {
  auto* out = static_cast<std::byte*>(target);
  size_t done = std::min(maxBytes, end_ - begin_);
  std::memcpy(out, buffer_.data() + begin_, done);
  begin_ += done;
  while (done < minBytes) {
    size_t wanted = minBytes - done;
    if (wanted >= buffer_.size()) {
      // Large data goes where it belongs without a copy.
      size_t got = readFd(out + done, maxBytes - done);
      if (got == 0) break;
      done += got;
    } else {
      if (atEnd()) break;
      size_t take = std::min(wanted, end_);
      std::memcpy(out + done, buffer_.data(), take);
      begin_ = take;
      done += take;
    }
  }
  return done;
}

}  // namespace splicehost
