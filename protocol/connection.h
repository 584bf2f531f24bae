// Cap'n Proto messages over a byte stream: one end of the connection between a client and an
// interpreter.
//
// Reads and writes wait. That is the shape of the protocol: one side asks and waits, and nothing
// else could be done meanwhile by the thread that waits.
//
// Cap'n Proto checks a pointer when it is followed, and throws if it leads nowhere. Here, reading
// can happen in a function that Haskell calls, which no exception may leave. So receive() follows
// all pointers of a message once, and whoever reads the message afterwards need not expect
// exceptions.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <memory>
#include <optional>
#include <vector>

#include "protocol/adaptive_polling.h"
#include "protocol/ghc_binary.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

class Connection {
 public:
  // Takes over `fd`, a stream socket that is open both ways. `attention` must outlive this, and is paid in all waits:
  // they fail if it is cancelled.
  explicit Connection(kj::AutoCloseFd fd, Attention* attention = nullptr);

  // Sends a message. Fails if the other side has hung up.
  Status send(capnp::MessageBuilder& message);
  // Sends a message that is serialised already, or a part of one.
  Status sendBytes(ghc::Bytes bytes);

  // Waits for a message with a `Root`, a struct of the schema; nothing if the other side has hung up between messages.
  // Fails if it hangs up inside a message, or if the message is malformed; what follows means nothing then. The reader
  // stays valid until the next receive().
  template <typename Root>
  Result<std::optional<typename Root::Reader>> receive() {
    Result<bool> received = receiveMessage(capnp::Schema::from<Root>());
    if (!received) return received.error();
    if (!*received) return std::optional<typename Root::Reader>();
    return std::optional(message_->reader.template getRoot<Root>());
  }

  // The message that was received last, as it came.
  kj::ArrayPtr<const capnp::word> words() const { return message_->words; }

  // True if a message, or a part of one, has been read from the socket already, so that waiting for
  // the socket to become readable would be wrong.
  bool buffered() const { return begin_ < end_; }

  int fd() const { return fd_.get(); }

 private:
  struct Message {
    kj::Array<capnp::word> words;
    capnp::FlatArrayMessageReader reader;
    explicit Message(kj::Array<capnp::word> content);
  };

  Result<bool> receiveMessage(capnp::StructSchema root);
  Result<size_t> read(void* target, size_t size);
  Result<size_t> readFd(void* target, size_t size);

  kj::AutoCloseFd fd_;
  AdaptivePolling wait_;
  // What has been read of the messages to come is between begin_ and end_.
  std::vector<std::byte> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::unique_ptr<Message> message_;
};

// Writes all of `bytes` to a blocking fd. Fails with the system's reason.
Status writeAll(int fd, ghc::Bytes bytes);

}  // namespace splicehost
