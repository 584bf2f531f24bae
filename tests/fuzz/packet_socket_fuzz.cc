// Lets a peer send arbitrary packets, as every side of the broker's protocols. Each message that is received
// has to be readable to the last pointer without an exception. The first byte of the input says where the
// packet claims that its message is: it follows, it lies in memory that comes along, or something else.
#include <fcntl.h>
#include <kj/string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "protocol/broker.capnp.h"
#include "protocol/connection.h"
#include "protocol/packet_socket.h"

namespace {

using namespace splicehost;
using Bytes = std::span<const std::byte>;

constexpr size_t kMaxPacket = 100'000;

void require(bool condition) {
  if (!condition) std::abort();
}

kj::AutoCloseFd memoryWith(Bytes content, bool sealed) {
  kj::AutoCloseFd memory(memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  require(memory.get() >= 0 && writeAll(memory.get(), content).ok());
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (sealed) require(fcntl(memory.get(), F_ADD_SEALS, kSeals) == 0);
  return memory;
}

template <typename Root>
void receive(uint8_t kind, Bytes content) {
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  kj::AutoCloseFd peer(ends[0]);
  PacketSocket socket{kj::AutoCloseFd(ends[1])};
  bool inMemory = kind % 4 == 1 || kind % 4 == 2;
  kj::AutoCloseFd memory = inMemory ? memoryWith(content, kind % 4 == 1) : kj::AutoCloseFd();
  uint64_t where = kind % 4 == 0 ? 0 : inMemory ? 1 : kind;
  int fds[] = {memory.get()};
  Status sent = sendPacket(peer.get(), where, inMemory ? Bytes() : content, std::span(fds, inMemory ? 1 : 0));
  require(sent.ok());
  auto packet = socket.receive<Root>();
  if (!packet) return require(!packet.error().message.empty());
  require(packet->has_value());
  kj::str((*packet)->template root<Root>());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > kMaxPacket) return 0;
  auto content = std::as_bytes(std::span(data + 1, size - 1));
  receive<schema::ToBroker>(data[0], content);
  receive<schema::FromBroker>(data[0], content);
  receive<schema::ToZygote>(data[0], content);
  receive<schema::FromZygote>(data[0], content);
  return 0;
}
