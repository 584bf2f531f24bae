#include "protocol/packet_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "protocol/connection.h"
#include "protocol/message_check.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

// What fits into a packet in every configuration: the least socket buffer that the kernel's default
// allows is 160 KiB.
constexpr size_t kMaxInline = 64 << 10;

constexpr uint64_t kFollows = 0;
constexpr uint64_t kInLastFd = 1;

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// All of a sealed memfd.
Result<kj::Array<capnp::word>> readMemory(int fd) {
  int seals = fcntl(fd, F_GET_SEALS);
  struct stat status;
  if (seals < 0 || (seals & kSeals) != kSeals || fstat(fd, &status) != 0) {
    return Error{"a large message is not in sealed memory"};
  }
  auto size = static_cast<size_t>(status.st_size);
  if (size > PacketSocket::kMaxMessage || size % sizeof(capnp::word) != 0) {
    return Error{"a message of " + std::to_string(size) + " bytes is too large or no message"};
  }
  auto words = kj::heapArray<capnp::word>(size / sizeof(capnp::word));
  auto bytes = words.asBytes();
  for (size_t done = 0; done < size;) {
    ssize_t got = pread(fd, bytes.begin() + done, size - done, static_cast<off_t>(done));
    if (got <= 0) return systemError("pread");
    done += static_cast<size_t>(got);
  }
  return words;
}

}  // namespace

Result<kj::AutoCloseFd> sealedMemory(const char* name, capnp::MessageBuilder& message, size_t* bytes) {
  auto words = capnp::messageToFlatArray(message);
  auto content = words.asBytes();
  kj::AutoCloseFd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory.get() < 0) return systemError("memfd_create");
  Status written = writeAll(memory.get(), {reinterpret_cast<const std::byte*>(content.begin()), content.size()});
  if (!written) return written.error();
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return systemError("sealing memory");
  *bytes = content.size();
  return memory;
}

Status PacketSocket::send(capnp::MessageBuilder& message, std::span<const int> fds) {
  std::vector<int> all(fds.begin(), fds.end());
  kj::AutoCloseFd memory;
  kj::Array<capnp::word> words;
  uint64_t where = kFollows;
  if (capnp::computeSerializedSizeInWords(message) * sizeof(capnp::word) > kMaxInline) {
    size_t size = 0;
    Result<kj::AutoCloseFd> sealed = sealedMemory("splicehost-message", message, &size);
    if (!sealed) return sealed.error();
    memory = kj::mv(*sealed);
    all.push_back(memory.get());
    where = kInLastFd;
  } else {
    words = capnp::messageToFlatArray(message);
  }
  return sendPacket(fd_.get(), where, std::as_bytes(std::span(words.begin(), words.size())), all);
}

Status sendPacket(int socket, uint64_t where, std::span<const std::byte> rest, std::span<const int> fds) {
  constexpr size_t kMostFds = PacketSocket::kMaxFds + 1;
  iovec parts[] = {{&where, sizeof where}, {const_cast<std::byte*>(rest.data()), rest.size()}};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))] = {};
  if (fds.size() > kMostFds) return Error{"too many fds for one packet"};
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (sendmsg(socket, &header, MSG_NOSIGNAL) >= 0) return Done{};
    if (errno != EINTR) return systemError("sendmsg");
  }
}

Result<std::optional<PacketSocket::Packet>> PacketSocket::receivePacket(capnp::StructSchema root) {
  wouldBlock_ = false;
  auto words = kj::heapArray<capnp::word>(kMaxInline / sizeof(capnp::word) + 64);
  uint64_t where = kFollows;
  iovec parts[] = {{&where, sizeof where}, {words.begin(), words.asBytes().size()}};
  alignas(cmsghdr) char control[CMSG_SPACE((kMaxFds + 1) * sizeof(int))];
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR) got = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    wouldBlock_ = true;
    return std::optional<Packet>();
  }
  // A reset is how a hang-up looks if the other side had not read everything. It is told once, and before
  // what the other side had sent.
  if (got < 0 && errno == ECONNRESET) return receivePacket(root);
  if (got < 0) return systemError("recvmsg");

  Packet packet;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if (got == 0) return std::optional<Packet>();
  auto size = static_cast<size_t>(got);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || size < sizeof where || size % sizeof(capnp::word) != 0) {
    return Error{"a packet of " + std::to_string(size) + " bytes is too large or no message"};
  }
  if (where == kFollows) {
    size_t count = size / sizeof(capnp::word) - 1;
    auto exact = kj::heapArray<capnp::word>(count);
    std::memcpy(exact.begin(), words.begin(), count * sizeof(capnp::word));
    packet.words_ = kj::mv(exact);
  } else if (where == kInLastFd && !packet.fds.empty()) {
    Result<kj::Array<capnp::word>> content = readMemory(packet.fds.back().get());
    if (!content) return content.error();
    packet.fds.pop_back();
    packet.words_ = kj::mv(*content);
  } else {
    return Error{"a packet does not say where its message is"};
  }
  if (Status good = checkMessage(packet.words_, root); !good) return good.error();
  packet.reader_ = std::make_unique<capnp::FlatArrayMessageReader>(packet.words_, kCheckedMessage);
  return std::optional<Packet>(kj::mv(packet));
}

Result<Peer> peerOf(int fd) {
  ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return systemError("SO_PEERCRED");
  return Peer{peer.uid, peer.pid};
}

}  // namespace splicehost
