#include "protocol/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/ghc_messages.h"
#include "protocol/message_check.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

constexpr size_t kBufferSize = 64 << 10;

// The largest message. It holds at most one message of GHC's and a few words. Lists of short strings take twice as much
// here as on GHC's wire.
constexpr uint64_t kMaxWords = 2 * ghc::kMessageLimit / sizeof(capnp::word) + 1024;
// What is allocated because a message says that it is so large. Beyond it, as much again as has
// arrived.
constexpr size_t kWordsOnTrust = 1 << 20;

// What Cap'n Proto writes a message to in parts.
class Output : public kj::OutputStream {
 public:
  explicit Output(Connection& connection) : connection_(connection) {}
  void write(const void* buffer, size_t size) override {
    if (status) status = connection_.sendBytes({static_cast<const std::byte*>(buffer), size});
  }

  Status status = Done{};

 private:
  Connection& connection_;
};

}  // namespace

Status writeAll(int fd, ghc::Bytes bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return systemError("write");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return Done{};
}

Connection::Message::Message(kj::Array<capnp::word> content) : words(kj::mv(content)), reader(words, kCheckedMessage) {}

Connection::Connection(kj::AutoCloseFd fd, Attention* attention)
    : fd_(kj::mv(fd)), wait_(attention), buffer_(kBufferSize) {}

Status Connection::send(capnp::MessageBuilder& message) {
  kj::Array<capnp::word> words;
  auto segments = message.getSegmentsForOutput();
  if (segments.size() == 1 && segments[0].size() < 4096) {
    // One system call for what nearly every message is.
    words = capnp::messageToFlatArray(segments);
    auto bytes = words.asBytes();
    return sendBytes({reinterpret_cast<const std::byte*>(bytes.begin()), bytes.size()});
  }
  Output output(*this);
  capnp::writeMessage(output, segments);
  return output.status;
}

Status Connection::sendBytes(ghc::Bytes bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(sent));
      continue;
    }
    pollfd fds[] = {{fd_.get(), POLLOUT, 0}};
    bool waited = errno == EINTR || (errno == EAGAIN && (wait_.poll(fds) >= 0 || errno == EINTR));
    if (!waited) return systemError("write");
  }
  return Done{};
}

// Not by Cap'n Proto's class for this: it reads the parts of a large message only when they are looked at. Its
// destructor reads the rest, and throws if the other side has hung up.
Result<bool> Connection::receiveMessage(capnp::StructSchema root) {
  message_.reset();
  kj::Array<capnp::word> words;
  // What has arrived says how much the message takes, at the least: first the number of segments,
  // then their sizes.
  for (size_t expected = 1; words.size() < expected; expected = capnp::expectedSizeInWordsFromPrefix(words)) {
    if (expected > kMaxWords) {
      return Error{"a message of " + std::to_string(expected) + " words is too large"};
    }
    size_t next = std::min(expected, std::max(kWordsOnTrust, 2 * words.size()));
    auto longer = kj::heapArray<capnp::word>(next);
    auto arrived = words.asBytes();
    std::copy(arrived.begin(), arrived.end(), longer.asBytes().begin());
    auto rest = longer.slice(words.size(), next).asBytes();
    Result<size_t> got = read(rest.begin(), rest.size());
    if (!got) return got.error();
    if (*got == 0 && words.size() == 0) return false;
    if (*got < rest.size()) return Error{"the other side hung up inside a message"};
    words = kj::mv(longer);
  }
  if (Status good = checkMessage(words, root); !good) return good.error();
  message_ = std::make_unique<Message>(kj::mv(words));
  return true;
}

// Reads `size` bytes, or what there is before the other side hangs up.
Result<size_t> Connection::read(void* target, size_t size) {
  auto* out = static_cast<std::byte*>(target);
  size_t done = 0;
  for (;;) {
    size_t take = std::min(size - done, end_ - begin_);
    std::memcpy(out + done, buffer_.data() + begin_, take);
    begin_ += take;
    done += take;
    if (done == size) return done;
    // Large data goes where it belongs without a copy.
    bool direct = size - done >= buffer_.size();
    Result<size_t> got = direct ? readFd(out + done, size - done) : readFd(buffer_.data(), buffer_.size());
    if (!got) return got;
    if (*got == 0) return done;
    if (direct) {
      done += *got;
    } else {
      begin_ = 0;
      end_ = *got;
    }
  }
}

Result<size_t> Connection::readFd(void* target, size_t size) {
  for (;;) {
    pollfd fds[] = {{fd_.get(), POLLIN, 0}};
    if (wait_.poll(fds) < 0) {
      if (errno == EINTR) continue;
      return systemError("read");
    }
    ssize_t got = ::read(fd_.get(), target, size);
    if (got >= 0) return static_cast<size_t>(got);
    // A reset is how a hang-up looks if the other side had not read everything.
    if (errno == ECONNRESET) return size_t{0};
    if (errno != EINTR) return systemError("read");
  }
}

}  // namespace splicehost
