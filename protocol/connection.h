// Cap'n Proto messages over a byte stream: one end of the connection between a client and an
// interpreter.
//
// Reads and writes block. That is the shape of the protocol: one side asks and waits, and nothing else
// could be done meanwhile by the thread that waits.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <memory>
#include <vector>

#include "protocol/ghc_binary.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

class Connection {
 public:
  // Takes over `fd`, a stream socket that is open both ways.
  explicit Connection(kj::AutoCloseFd fd);

  // Sends a message. Fails if the other side has hung up.
  Status send(capnp::MessageBuilder& message);

  // Waits for a message; null if the other side has hung up between messages. The reader stays valid
  // until the next receive().
  Result<capnp::MessageReader*> receive();

  // True if a message, or a part of one, has been read from the socket already, so that waiting for the
  // socket to become readable would be wrong.
  bool buffered() { return input_->tryGetBuffered().size() > 0; }

  int fd() const { return fd_.get(); }

 private:
  // Knows what is left of a read; kj's own class would block to answer that.
  class Input final : public kj::InputStream {
   public:
    explicit Input(int fd) : fd_(fd), buffer_(64 << 10) {}
    size_t tryRead(void* target, size_t minBytes, size_t maxBytes) override;
    ghc::Bytes tryGetBuffered() const { return {buffer_.data() + begin_, end_ - begin_}; }
    // True once the other side has hung up and everything has been read.
    bool atEnd();

   private:
    size_t readFd(void* target, size_t size);

    int fd_;
    std::vector<std::byte> buffer_;
    size_t begin_ = 0;
    size_t end_ = 0;
  };

  kj::AutoCloseFd fd_;
  std::unique_ptr<Input> input_;
  std::unique_ptr<capnp::MessageReader> message_;
};

// Writes all of `bytes` to a blocking fd. Fails with the system's reason.
Status writeAll(int fd, ghc::Bytes bytes);

}  // namespace splicehost
