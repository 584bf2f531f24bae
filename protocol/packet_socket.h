// Cap'n Proto messages with file descriptors over a Unix socket that keeps message boundaries: the
// broker's connections (protocol/broker.capnp).
//
// One packet is one message in the standard stream framing, behind a word that says where it is. If the word is 0, it
// follows. If it is 1, the message is too large for a packet, and is in the last fd, a sealed memfd.
#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/result.h"

namespace splicehost {

class PacketSocket {
 public:
  // The most fds in a packet, besides that of a large message.
  static constexpr size_t kMaxFds = 250;
  // The largest message, in bytes. An environment can have 6 MiB.
  static constexpr size_t kMaxMessage = size_t{16} << 20;

  // Takes over `fd`, a connected SOCK_SEQPACKET socket, blocking or not.
  explicit PacketSocket(kj::AutoCloseFd fd) : fd_(kj::mv(fd)) {}

  // Sends a message with these fds, which stay the caller's. Fails if the other side has hung up. Also fails if the
  // socket does not block and its buffer is full: a peer that does not read its messages is gone for all that matters.
  // Never raises SIGPIPE.
  Status send(capnp::MessageBuilder& message, std::span<const int> fds = {});

  // What one packet held. The reader is valid as long as this object.
  class Packet {
   public:
    template <typename Root>
    typename Root::Reader root() const {
      return reader_->getRoot<Root>();
    }
    std::vector<kj::AutoCloseFd> fds;

   private:
    friend class PacketSocket;
    kj::Array<capnp::word> words_;
    std::unique_ptr<capnp::FlatArrayMessageReader> reader_;
  };

  // Receives the next message, a `Root`. All of its pointers have been followed once, so reading it throws nothing.
  // Nothing if the other side has hung up, or if the socket does not block and there is no message yet: wouldBlock() is
  // true then. Fails on a malformed message.
  template <typename Root>
  Result<std::optional<Packet>> receive() {
    return receivePacket(capnp::Schema::from<Root>());
  }
  bool wouldBlock() const { return wouldBlock_; }

  int fd() const { return fd_.get(); }

 private:
  Result<std::optional<Packet>> receivePacket(capnp::StructSchema root);

  kj::AutoCloseFd fd_;
  bool wouldBlock_ = false;
};

// Sends a packet as it is: its first word, the bytes that follow, and fds, which stay the caller's. Fails as
// PacketSocket::send(), which is the way to send a message; tests send what is none.
Status sendPacket(int socket, uint64_t where, std::span<const std::byte> rest, std::span<const int> fds = {});

// The user id of the process at the other end of a connected Unix socket. Fails if that cannot be told.
struct Peer {
  uint32_t user;
  int32_t processId;
};
Result<Peer> peerOf(int fd);

// Memory that holds a message in the standard stream framing and that nobody can change any more.
Result<kj::AutoCloseFd> sealedMemory(const char* name, capnp::MessageBuilder& message, size_t* bytes);

}  // namespace splicehost
