// Cap'n Proto messages over a stream to another machine.
//
// Framing: each message is one frame. It has the number of bytes that follow, the number of bytes that they become
// (both 32 bits, little-endian), and a piece of a zstd stream. The piece becomes one message in Cap'n Proto's standard
// framing. All pieces of a direction are one zstd frame, so what has been said before need not be said again. A load
// request takes little more than its file's digest. Messages that carry content (the highest bit of the second number
// is set) are a zstd frame of their own. Its larger window has in it what is alike in a package's archives. Nobody who
// sends no content has to prepare it.
#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "iserv/remote/stream.h"
#include "protocol/attention.h"
#include "protocol/result.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace splicehost::remote {

using Milliseconds = std::chrono::milliseconds;

class Channel {
 public:
  // How long a send may make no progress. `attention`, if there is one, must outlive this: a send fails if it is
  // cancelled.
  Channel(std::unique_ptr<Stream> stream, Milliseconds patience, Attention* attention = nullptr);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  enum class Kind { kTranscript, kContent };
  // Queues a message and, unless more is to follow at once (`flush` is false), sends what is queued. Takes in what
  // arrives meanwhile, so that two sides that send do not wait for each other. Fails if the connection is lost or
  // stalls.
  Status send(capnp::MessageBuilder& message, bool flush = true, Kind kind = Kind::kTranscript);
  Status flush();
  // Bytes that are queued.
  size_t unsent() const { return outgoing_.size(); }

  // Says that nothing more will be sent, and waits, so long at the most, until the other side says so, too. If this
  // side hung up on something that it has not read, the other could lose what was sent.
  void end(Milliseconds patience);

  // Takes in what has arrived, without waiting.
  Status takeIn();
  // A message that has been taken in whole, if there is one; valid until the next call. Fails if the stream is
  // malformed: nothing that follows means anything then.
  template <typename Root>
  Result<std::optional<typename Root::Reader>> next() {
    Result<bool> got = nextMessage(capnp::Schema::from<Root>());
    if (!got) return got.error();
    if (!*got) return std::optional<typename Root::Reader>();
    return std::optional(reader_->template getRoot<Root>());
  }
  // Nothing more will arrive: the other side has hung up.
  bool ended() const { return ended_; }

  // Readable when there may be something to take in, unless buffered(). Then there is a message already, or a part of
  // one that is no longer in the fd.
  int fd() const { return stream_->readFd(); }
  bool buffered() const;

  // The largest message that is accepted from here on, in bytes. At first that is the largest that is ever sent.
  void limit(uint64_t bytes) { limit_ = bytes; }
  static constexpr uint64_t kNoLimit = UINT64_MAX;

  // What arrives first need not be a message: the shell that a command starts on the other machine may greet. That text
  // goes to `show`, and the messages begin where the first frame does.
  void expectGreeting(std::function<void(std::string_view)> show) { showGreeting_ = std::move(show); }
  // There will be no message: shows what has arrived instead of one.
  void endGreeting();

  // When something was last taken in, or sent.
  std::chrono::steady_clock::time_point lastHeard() const { return lastHeard_; }
  std::chrono::steady_clock::time_point lastSaid() const { return lastSaid_; }

 private:
  Result<bool> nextMessage(capnp::StructSchema root);
  bool skipGreeting();
  void showGreeting(size_t bytes);
  using Packer = std::unique_ptr<ZSTD_CCtx_s, size_t (*)(ZSTD_CCtx_s*)>;
  using Unpacker = std::unique_ptr<ZSTD_DCtx_s, size_t (*)(ZSTD_DCtx_s*)>;
  Status unpack(ZSTD_DCtx_s* unpacker, std::span<const std::byte> packed, size_t size);

  std::unique_ptr<Stream> stream_;
  Milliseconds patience_;
  Attention* attention_;
  uint64_t limit_ = kNoLimit;
  Packer packers_[2];
  Unpacker unpackers_[2];  // by Kind; made when they are needed
  // For what is read or packed at a time; it is never cleared.
  std::unique_ptr<std::byte[]> buffer_;
  std::vector<std::byte> outgoing_;
  std::vector<std::byte> incoming_;
  size_t begin_ = 0;  // of what is unread of it
  bool ended_ = false;
  std::function<void(std::string_view)> showGreeting_;  // until the first frame
  kj::Array<capnp::word> words_;
  std::unique_ptr<capnp::FlatArrayMessageReader> reader_;
  std::chrono::steady_clock::time_point lastHeard_;
  std::chrono::steady_clock::time_point lastSaid_;
};

}  // namespace splicehost::remote
