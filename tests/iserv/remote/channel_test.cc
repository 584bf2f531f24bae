// Messages between machines: that they arrive, and what is said of bytes that are none.

#include "iserv/remote/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <string>
#include <thread>

#include "protocol/remote.capnp.h"

namespace splicehost::remote {
namespace {

using std::chrono::milliseconds;

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    raw_ = ends[0];
    here_ = std::make_unique<Channel>(plainStream(ends[1], ends[1]), milliseconds(300));
  }
  ~ChannelTest() override {
    if (raw_ >= 0) close(raw_);
  }

  // A channel at the other end, too.
  std::unique_ptr<Channel> there() {
    int fd = std::exchange(raw_, -1);
    return std::make_unique<Channel>(plainStream(fd, fd), milliseconds(300));
  }

  void put(const std::string& bytes) {
    if (write(raw_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) abort();
  }

  static std::string number(uint32_t value) {
    std::string text;
    for (int i = 0; i < 4; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  }

  // What is wrong with what has arrived; empty if nothing is.
  std::string complaint() {
    if (Status taken = here_->takeIn(); !taken) return taken.error().message;
    auto message = here_->next<schema::ToTarget>();
    return message ? "" : message.error().message;
  }

  static Status sendPart(Channel& channel, const std::string& data, Channel::Kind kind) {
    capnp::MallocMessageBuilder builder;
    builder.initRoot<schema::ToTarget>().initPart().setData(
        {reinterpret_cast<const capnp::byte*>(data.data()), data.size()});
    return channel.send(builder, true, kind);
  }

  static std::string noise(size_t size) {
    std::mt19937_64 random(size);
    std::string data(size, '\0');
    for (char& c : data) c = static_cast<char>(random());
    return data;
  }

  // Frames that a channel has sent.
  std::string sent(const std::string& data) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
    Channel channel(plainStream(ends[1], ends[1]), milliseconds(300));
    if (!sendPart(channel, data, Channel::Kind::kTranscript)) abort();
    char buffer[65536];
    ssize_t got = read(ends[0], buffer, sizeof buffer);
    close(ends[0]);
    return std::string(buffer, static_cast<size_t>(got));
  }

  int raw_;
  std::unique_ptr<Channel> here_;
};

TEST_F(ChannelTest, CarriesMessagesOfBothKindsInOrder) {
  auto other = there();
  const std::string all[] = {"a", noise(200'000), std::string(3'000'000, 'x'), "", noise(1000)};
  std::thread sender([&] {
    for (const std::string& data : all) {
      ASSERT_TRUE(
          sendPart(*other, data, data.size() > 5000 ? Channel::Kind::kContent : Channel::Kind::kTranscript).ok());
    }
  });
  for (const std::string& data : all) {
    for (;;) {
      ASSERT_TRUE(here_->takeIn().ok());
      auto message = here_->next<schema::ToTarget>();
      ASSERT_TRUE(message.ok()) << message.error().message;
      if (!*message) continue;
      auto chars = (*message)->getPart().getData().asChars();
      ASSERT_EQ(std::string(chars.begin(), chars.size()), data);
      break;
    }
  }
  sender.join();
}

TEST_F(ChannelTest, SaysWhatWasSaidBeforeInFewBytes) {
  std::string data = noise(2000);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Channel channel(plainStream(ends[1], ends[1]), milliseconds(300));
  char buffer[65536];
  ASSERT_TRUE(sendPart(channel, data, Channel::Kind::kTranscript).ok());
  EXPECT_GT(read(ends[0], buffer, sizeof buffer), 2000);
  ASSERT_TRUE(sendPart(channel, data, Channel::Kind::kTranscript).ok());
  EXPECT_LT(read(ends[0], buffer, sizeof buffer), 100);
  close(ends[0]);
}

TEST_F(ChannelTest, TwoSidesThatSendDoNotWaitForEachOther) {
  auto other = there();
  std::string data = noise(5'000'000);
  auto sendAndReceive = [&](Channel& channel) {
    EXPECT_TRUE(sendPart(channel, data, Channel::Kind::kContent).ok());
    for (;;) {
      auto message = channel.next<schema::ToTarget>();
      ASSERT_TRUE(message.ok()) << message.error().message;
      if (*message) return;
      ASSERT_TRUE(channel.takeIn().ok());
    }
  };
  std::thread sender([&] { sendAndReceive(*other); });
  sendAndReceive(*here_);
  sender.join();
}

TEST_F(ChannelTest, GivesUpOnASideThatTakesNothing) {
  Status sent = sendPart(*here_, noise(5'000'000), Channel::Kind::kContent);
  ASSERT_FALSE(sent.ok());
  EXPECT_NE(sent.error().message.find("has taken nothing"), std::string::npos);
}

TEST_F(ChannelTest, TellsAnEndFromAnEndInsideAMessage) {
  std::string frame = sent("hello");
  put(frame.substr(0, frame.size() - 1));
  EXPECT_EQ(complaint(), "");
  shutdown(raw_, SHUT_WR);
  EXPECT_EQ(complaint(), "the other side hung up inside a message");
  EXPECT_TRUE(here_->ended());
}

TEST_F(ChannelTest, RefusesFramesOfImpossibleSizes) {
  put("Welcome to this machine\n");
  EXPECT_NE(complaint().find("is no frame of this protocol"), std::string::npos);
}

// However the text and the frame are cut into pieces.
TEST_F(ChannelTest, TellsAGreetingFromTheFirstFrame) {
  std::string greeting = "Welcome\n\nYou have mail. " + noise(1000), frame = sent("hello");
  std::string all = greeting + frame;
  for (size_t cut = 0; cut < all.size(); cut += cut < greeting.size() - 20 ? 97 : 1) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Channel channel(plainStream(ends[1], ends[1]), milliseconds(300));
    std::string shown;
    channel.expectGreeting([&](std::string_view text) { shown += text; });
    bool arrived = false;
    for (const std::string& piece : {all.substr(0, cut), all.substr(cut)}) {
      ASSERT_EQ(write(ends[0], piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
      ASSERT_TRUE(channel.takeIn());
      auto message = channel.next<schema::ToTarget>();
      ASSERT_TRUE(message) << message.error().message;
      arrived = message->has_value();
    }
    EXPECT_TRUE(arrived) << cut;
    EXPECT_EQ(shown, greeting) << cut;
    close(ends[0]);
  }
}

TEST_F(ChannelTest, ShowsWhatIsNoFrameIfThereIsNone) {
  std::string shown;
  here_->expectGreeting([&](std::string_view text) { shown += text; });
  put("This account is locked.");
  EXPECT_EQ(complaint(), "");
  shutdown(raw_, SHUT_WR);
  EXPECT_EQ(complaint(), "");
  EXPECT_EQ(shown, "This account is locked.");
}

TEST_F(ChannelTest, RefusesAFrameThatBecomesMoreThanItSays) {
  std::string frame = sent(std::string(10'000, 'x'));
  put(frame.substr(0, 4) + number(64) + frame.substr(8));
  EXPECT_NE(complaint(), "");
}

TEST_F(ChannelTest, RefusesAFrameThatBecomesLessThanItSays) {
  std::string frame = sent("hello");
  put(frame.substr(0, 4) + number(1 << 20) + frame.substr(8));
  EXPECT_NE(complaint().find("becomes"), std::string::npos);
}

TEST_F(ChannelTest, RefusesWhatIsNotCompressed) {
  put(number(16) + number(64) + "0123456789abcdef");
  EXPECT_NE(complaint().find("decompression"), std::string::npos);
}

TEST_F(ChannelTest, SurvivesAnyDamage) {
  std::string frame = sent(noise(300));
  for (size_t at = 0; at < frame.size(); ++at) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    Channel channel(plainStream(ends[1], ends[1]), milliseconds(300));
    std::string damaged = frame;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    ASSERT_GT(write(ends[0], damaged.data(), damaged.size()), 0);
    close(ends[0]);
    if (!channel.takeIn()) continue;
    auto message = channel.next<schema::ToTarget>();
    if (message && *message && (*message)->isPart()) (void)(*message)->getPart().getData().size();
  }
}

}  // namespace
}  // namespace splicehost::remote
