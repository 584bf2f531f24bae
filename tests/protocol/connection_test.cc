// Messages over a socket: large ones, and what comes of peers that hang up or talk nonsense.

#include "protocol/connection.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/string.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <utility>

#include "protocol/ghc_messages.h"
#include "tests/protocol/cases.h"
#include "tests/protocol/wire.h"

namespace splicehost {
namespace {

using schema::FromInterpreter;
using schema::ToInterpreter;
using testing::wire;

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    ours_ = std::make_unique<Connection>(kj::AutoCloseFd(ends[0]));
    theirs_ = ends[1];
  }
  ~ConnectionTest() override { hangUp(); }

  void sendRaw(ghc::Bytes bytes) { ASSERT_TRUE(writeAll(theirs_, bytes)); }
  void hangUp() {
    if (theirs_ >= 0) close(theirs_);
    theirs_ = -1;
  }
  // The other end, with a Connection of its own.
  Connection takeTheirs() { return Connection(kj::AutoCloseFd(std::exchange(theirs_, -1))); }

  // What receive() says about bytes that are no message.
  std::string complaint(ghc::Bytes bytes) {
    sendRaw(bytes);
    hangUp();
    auto received = ours_->receive<ToInterpreter>();
    if (!received) return received.error().message;
    return *received ? "a message" : "nothing";
  }

  std::unique_ptr<Connection> ours_;
  int theirs_;
};

std::vector<std::byte> flat(capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto bytes = std::as_bytes(std::span(words.begin(), words.size()));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> loadArchive(const std::string& name) {
  capnp::MallocMessageBuilder message;
  message.initRoot<ToInterpreter>().initRequest().setLoadArchive(name);
  return flat(message);
}

TEST_F(ConnectionTest, CarriesEveryRequest) {
  Connection theirs = takeTheirs();
  for (const auto& [version, each] : testing::ofAllVersions(testing::requestCases)) {
    capnp::MallocMessageBuilder message;
    auto sent = message.initRoot<ToInterpreter>().initRequest();
    each.build(sent);
    ASSERT_TRUE(theirs.send(message));
    auto received = ours_->receive<ToInterpreter>();
    ASSERT_TRUE(received) << each.name << ": " << received.error().message;
    ASSERT_TRUE(*received);
    EXPECT_STREQ(kj::str((*received)->getRequest()).cStr(), kj::str(sent.asReader()).cStr());
  }
}

TEST_F(ConnectionTest, CarriesEveryReply) {
  Connection theirs = takeTheirs();
  for (const auto& [version, each] : testing::ofAllVersions(testing::replyCases)) {
    capnp::MallocMessageBuilder message;
    auto sent = message.initRoot<FromInterpreter>().initReply();
    each.build(sent);
    ASSERT_TRUE(ours_->send(message));
    auto received = theirs.receive<FromInterpreter>();
    ASSERT_TRUE(received) << each.name << ": " << received.error().message;
    ASSERT_TRUE(*received);
    EXPECT_STREQ(kj::str((*received)->getReply()).cStr(), kj::str(sent.asReader()).cStr());
  }
}

TEST_F(ConnectionTest, CarriesAnExpressionOfTheGreatestDepth) {
  std::string bytes = "13 00000000";
  for (int i = 0; i < 50; ++i) bytes += " 01 00 #1";
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<ToInterpreter>().initRequest();
  auto decoded = ghc::decodeRequest(*ghc::findVersion("9.0.2"), wire(bytes + " 00 #2"), request);
  ASSERT_TRUE(decoded);
  ASSERT_GT(decoded->size, 0u);
  sendRaw(flat(message));
  auto received = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_STREQ(kj::str((*received)->getRequest()).cStr(), kj::str(request.asReader()).cStr());
}

// Such a message has many segments and many pointers between them.
TEST_F(ConnectionTest, CarriesThousandsOfCostCentres) {
  constexpr uint32_t kCentres = 5000;
  capnp::MallocMessageBuilder message;
  auto centres = message.initRoot<ToInterpreter>().initRequest().initMkCostCentres().initCentres(kCentres);
  for (uint32_t i = 0; i < kCentres; ++i) {
    centres[i].setName("name" + std::to_string(i));
    centres[i].setSourceSpan("Module.hs:1:1-" + std::to_string(i));
  }
  Connection theirs = takeTheirs();
  std::thread sender([&] { EXPECT_TRUE(theirs.send(message)); });
  auto received = ours_->receive<ToInterpreter>();
  sender.join();
  ASSERT_TRUE(received) << received.error().message;
  ASSERT_TRUE(*received);
  EXPECT_EQ((*received)->getRequest().getMkCostCentres().getCentres().size(), kCentres);
}

TEST_F(ConnectionTest, CarriesManyMegabytes) {
  constexpr size_t kSize = 20 << 20;
  constexpr int kChunks = 3;
  Connection theirs = takeTheirs();
  std::thread sender([&] {
    capnp::MallocMessageBuilder message;
    auto chunks = message.initRoot<ToInterpreter>().initRequest().initCreateBcos(kChunks);
    for (uint32_t i = 0; i < kChunks; ++i) memset(chunks.init(i, kSize).begin(), 'a' + i, kSize);
    EXPECT_TRUE(theirs.send(message));
    message.initRoot<ToInterpreter>().initRequest().setShutdown();
    EXPECT_TRUE(theirs.send(message));
  });
  auto received = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(received) << received.error().message;
  auto chunks = (*received)->getRequest().getCreateBcos();
  ASSERT_EQ(chunks.size(), kChunks);
  for (uint32_t i = 0; i < kChunks; ++i) {
    ASSERT_EQ(chunks[i].size(), kSize);
    EXPECT_EQ(chunks[i].front(), 'a' + i);
    EXPECT_EQ(chunks[i].back(), 'a' + i);
  }
  received = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(received);
  EXPECT_TRUE((*received)->getRequest().isShutdown());
  sender.join();
}

// A list of empty strings takes no more space on GHC's wire than its lengths do.
TEST_F(ConnectionTest, MessagesCanBeReadMoreThanOnce) {
  constexpr uint32_t kStrings = 1'000'000;
  Connection theirs = takeTheirs();
  std::thread sender([&] {
    capnp::MallocMessageBuilder message;
    message.initRoot<ToInterpreter>().initRequest().initMallocStrings(kStrings);
    EXPECT_TRUE(theirs.send(message));
  });
  auto received = ours_->receive<ToInterpreter>();
  sender.join();
  ASSERT_TRUE(received) << received.error().message;
  for (int round = 0; round < 200; ++round) {
    ASSERT_EQ((*received)->getRequest().getMallocStrings().size(), kStrings);
  }
}

TEST_F(ConnectionTest, KnowsWhatItHasReadAlready) {
  EXPECT_FALSE(ours_->buffered());
  auto both = loadArchive("/a.a");
  for (std::byte byte : loadArchive("/b.a")) both.push_back(byte);
  sendRaw(both);
  auto first = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(first && *first);
  EXPECT_STREQ((*first)->getRequest().getLoadArchive().cStr(), "/a.a");
  EXPECT_TRUE(ours_->buffered());
  auto second = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(second && *second);
  EXPECT_STREQ((*second)->getRequest().getLoadArchive().cStr(), "/b.a");
  EXPECT_FALSE(ours_->buffered());
}

TEST_F(ConnectionTest, MessagesArriveInPieces) {
  auto bytes = loadArchive("/usr/lib/libx.a");
  std::thread sender([&] {
    for (std::byte byte : bytes) {
      EXPECT_TRUE(writeAll(theirs_, {&byte, 1}));
      std::this_thread::yield();
    }
  });
  auto received = ours_->receive<ToInterpreter>();
  sender.join();
  ASSERT_TRUE(received && *received);
  EXPECT_STREQ((*received)->getRequest().getLoadArchive().cStr(), "/usr/lib/libx.a");
}

// --- Hanging up ----------------------------------------------------------------------------------

TEST_F(ConnectionTest, HangUpBetweenMessagesIsNoError) {
  sendRaw(loadArchive("/a.a"));
  hangUp();
  auto received = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(received && *received);
  for (int i = 0; i < 2; ++i) {
    received = ours_->receive<ToInterpreter>();
    ASSERT_TRUE(received) << received.error().message;
    EXPECT_FALSE(*received);
  }
}

TEST_F(ConnectionTest, ResetIsAHangUp) {
  // What nobody has read makes the kernel report a reset.
  capnp::MallocMessageBuilder message;
  message.initRoot<FromInterpreter>().initReply().setDone();
  ASSERT_TRUE(ours_->send(message));
  hangUp();
  auto received = ours_->receive<ToInterpreter>();
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_FALSE(*received);
}

TEST_F(ConnectionTest, HangUpInsideAMessageIsAnError) {
  auto bytes = loadArchive("/usr/lib/libx.a");
  for (size_t size : {size_t{1}, size_t{8}, size_t{20}, bytes.size() - 1}) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Connection ours{kj::AutoCloseFd(ends[0])};
    ASSERT_TRUE(writeAll(ends[1], ghc::Bytes(bytes).first(size)));
    close(ends[1]);
    auto received = ours.receive<ToInterpreter>();
    ASSERT_FALSE(received) << size;
    EXPECT_EQ(received.error().message, "the other side hung up inside a message") << size;
  }
}

// Large messages have several segments.
TEST_F(ConnectionTest, HangUpInsideALaterSegmentIsAnError) {
  capnp::MallocMessageBuilder message(16, capnp::AllocationStrategy::FIXED_SIZE);
  auto chunks = message.initRoot<ToInterpreter>().initRequest().initCreateBcos(3);
  for (uint32_t i = 0; i < 3; ++i) chunks.init(i, 10'000);
  ASSERT_GT(message.getSegmentsForOutput().size(), 2u);
  auto bytes = flat(message);
  EXPECT_EQ(complaint(ghc::Bytes(bytes).first(bytes.size() - 12'000)), "the other side hung up inside a message");
}

TEST_F(ConnectionTest, SendingToNobodyIsAnError) {
  hangUp();
  capnp::MallocMessageBuilder message;
  message.initRoot<ToInterpreter>().initRequest().setShutdown();
  EXPECT_FALSE(ours_->send(message));
  message.initRoot<ToInterpreter>().initThAnswer(1 << 20);
  EXPECT_FALSE(ours_->send(message));
}

// --- Nonsense ------------------------------------------------------------------------------------

TEST_F(ConnectionTest, TextIsNoMessage) {
  std::string text = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::string said = complaint(std::as_bytes(std::span(text)));
  EXPECT_TRUE(said.ends_with("is too large")) << said;
}

TEST_F(ConnectionTest, SegmentTableOfMoreThanAMessage) {
  // 2^32 - 1 segments, the last of which nobody could see.
  EXPECT_EQ(complaint(wire("feffffff 00000000")), "a message of 2147483648 words is too large");
}

TEST_F(ConnectionTest, SegmentOfMoreThanAMessage) {
  EXPECT_EQ(complaint(wire("00000000 ffffffff")), "a message of 4294967296 words is too large");
}

TEST_F(ConnectionTest, SegmentsThatNeverCome) {
  EXPECT_EQ(complaint(wire("00000000 00000006 #0")), "the other side hung up inside a message");
}

TEST_F(ConnectionTest, NoSegments) {
  std::string said = complaint(wire("ffffffff 00000000"));
  EXPECT_TRUE(said.starts_with("a malformed message: ")) << said;
}

TEST_F(ConnectionTest, EmptySegment) {
  std::string said = complaint(wire("00000000 00000000"));
  EXPECT_TRUE(said.starts_with("a malformed message: ")) << said;
}

TEST_F(ConnectionTest, PointerToNowhere) {
  // A struct of one word and one pointer, a kilobyte behind the end.
  std::string said = complaint(wire("00000000 01000000 00020000 01000100"));
  EXPECT_TRUE(said.starts_with("a malformed message: ")) << said;
}

// Found when the message is received, not when somebody looks at the name.
TEST_F(ConnectionTest, TextWithoutEnd) {
  auto bytes = loadArchive("/archive");
  // The terminator of the only text is in the last word.
  bytes[bytes.size() - 8] = std::byte{'x'};
  std::string said = complaint(bytes);
  EXPECT_TRUE(said.starts_with("a malformed message: ")) << said;
}

TEST_F(ConnectionTest, PointersThatMultiply) {
  // Each expression applies the next one to itself: 2^30 of them in 31 places.
  capnp::MallocMessageBuilder message;
  auto expression = message.initRoot<ToInterpreter>().initRequest().initEvalStmt().initExpression();
  for (int i = 0; i < 30; ++i) {
    auto apply = expression.initApply();
    apply.initArgument();
    expression = apply.initFunction();
  }
  auto bytes = flat(message);
  // An application has two pointers to structs of one data word and one pointer. Where the first
  // leads to is one word further from it than from the second.
  int redirected = 0;
  for (size_t at = 8; at + 16 <= bytes.size(); at += 8) {
    int32_t first, second;
    uint32_t shape, sameShape;
    memcpy(&first, bytes.data() + at, 4);
    memcpy(&shape, bytes.data() + at + 4, 4);
    memcpy(&second, bytes.data() + at + 8, 4);
    memcpy(&sameShape, bytes.data() + at + 12, 4);
    if (shape != sameShape || shape >> 16 != 1 || first % 4 != 0 || second % 4 != 0) continue;
    second = first - 4;
    memcpy(bytes.data() + at + 8, &second, 4);
    ++redirected;
  }
  ASSERT_EQ(redirected, 30);
  std::string said = complaint(bytes);
  EXPECT_TRUE(said.starts_with("a malformed message: ")) << said;
}

TEST_F(ConnectionTest, UnknownKindOfMessage) {
  capnp::MallocMessageBuilder message;
  message.initRoot<ToInterpreter>().initRequest();
  auto bytes = flat(message);
  // The word behind the segment table and the root pointer begins with the kind.
  bytes[16] = std::byte{99};
  EXPECT_EQ(complaint(bytes).find("a malformed message: "), 0u);
}

TEST_F(ConnectionTest, UnknownKindOfSplice) {
  capnp::MallocMessageBuilder message;
  auto splice = message.initRoot<ToInterpreter>().initRequest().initRunTh();
  splice.setKind(static_cast<schema::SpliceKind>(5));
  EXPECT_EQ(complaint(flat(message)).find("a malformed message: "), 0u);
}

}  // namespace
}  // namespace splicehost
