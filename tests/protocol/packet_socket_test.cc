// Messages with fds in packets: large ones, and peers that send nonsense or hang up.

#include "protocol/packet_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "protocol/broker.capnp.h"

namespace splicehost {
namespace {

using schema::ToBroker;

class PacketSocketTest : public ::testing::Test {
 protected:
  PacketSocketTest() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) abort();
    ours_ = std::make_unique<PacketSocket>(kj::AutoCloseFd(ends[0]));
    theirs_ = std::make_unique<PacketSocket>(kj::AutoCloseFd(ends[1]));
  }

  // Sends a path to identify.
  Status send(const std::string& path, std::span<const int> fds = {}) {
    capnp::MallocMessageBuilder message;
    message.initRoot<ToBroker>().setIdentify({reinterpret_cast<const capnp::byte*>(path.data()), path.size()});
    return ours_->send(message, fds);
  }
  // What receive() says about a packet with these bytes.
  std::string complaint(const std::string& bytes) {
    EXPECT_EQ(write(ours_->fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    auto received = theirs_->receive<ToBroker>();
    if (!received) return received.error().message;
    return *received ? "a message" : "nothing";
  }

  std::unique_ptr<PacketSocket> ours_;
  std::unique_ptr<PacketSocket> theirs_;
};

TEST_F(PacketSocketTest, CarriesMessagesInOrder) {
  ASSERT_TRUE(send("/one"));
  ASSERT_TRUE(send("/two"));
  for (std::string expected : {"/one", "/two"}) {
    auto packet = theirs_->receive<ToBroker>();
    ASSERT_TRUE(packet && *packet);
    auto path = (*packet)->root<ToBroker>().getIdentify();
    EXPECT_EQ(std::string(path.asChars().begin(), path.size()), expected);
    EXPECT_TRUE((*packet)->fds.empty());
  }
}

TEST_F(PacketSocketTest, CarriesFds) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  kj::AutoCloseFd reader(pipe[0]), writer(pipe[1]);
  int fds[] = {writer.get()};
  ASSERT_TRUE(send("/file", fds));
  writer = nullptr;
  auto packet = theirs_->receive<ToBroker>();
  ASSERT_TRUE(packet && *packet);
  ASSERT_EQ((*packet)->fds.size(), 1u);
  ASSERT_EQ(write((*packet)->fds[0].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(reader.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(PacketSocketTest, CarriesWhatIsTooLargeForAPacket) {
  std::string large(3 << 20, 'x');
  int fds[] = {STDERR_FILENO};
  ASSERT_TRUE(send(large, fds));
  auto packet = theirs_->receive<ToBroker>();
  ASSERT_TRUE(packet && *packet);
  auto path = (*packet)->root<ToBroker>().getIdentify();
  EXPECT_EQ(std::string(path.asChars().begin(), path.size()), large);
  EXPECT_EQ((*packet)->fds.size(), 1u);
}

TEST_F(PacketSocketTest, TellsHangUpFromNothingYet) {
  auto packet = theirs_->receive<ToBroker>();
  ASSERT_TRUE(packet && !*packet);
  EXPECT_TRUE(theirs_->wouldBlock());
  ours_.reset();
  packet = theirs_->receive<ToBroker>();
  ASSERT_TRUE(packet && !*packet);
  EXPECT_FALSE(theirs_->wouldBlock());
}

TEST_F(PacketSocketTest, RefusesNonsense) {
  EXPECT_NE(complaint("abc").find("no message"), std::string::npos);
  EXPECT_NE(complaint(std::string(16, '\xff')).find("does not say where"), std::string::npos);
  EXPECT_NE(complaint(std::string(8, '\0') + std::string(64, '\xff')).find("malformed"), std::string::npos);
}

TEST_F(PacketSocketTest, DoesNotTrustMemoryThatCanChange) {
  kj::AutoCloseFd memory(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(memory.get(), 4096), 0);
  int fds[] = {memory.get()};
  ASSERT_TRUE(sendPacket(ours_->fd(), 1, {}, fds));
  auto received = theirs_->receive<ToBroker>();
  ASSERT_FALSE(received);
  EXPECT_NE(received.error().message.find("sealed"), std::string::npos);
}

TEST_F(PacketSocketTest, KnowsItsPeer) {
  auto peer = peerOf(ours_->fd());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->user, geteuid());
  EXPECT_EQ(peer->processId, getpid());
}

}  // namespace
}  // namespace splicehost
