#include "iserv/remote/stream.h"

#include <gtest/gtest.h>
#include <kj/io.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>

namespace splicehost::remote {
namespace {

enum class Medium { kPipes, kSocket };

// A stream, and its other side.
class StreamTest : public ::testing::TestWithParam<Medium> {
 protected:
  StreamTest() {
    signal(SIGPIPE, SIG_IGN);
    int ends[4];
    if (GetParam() == Medium::kPipes) {
      if (pipe(ends) != 0 || pipe(ends + 2) != 0) abort();
      stream_ = plainStream(ends[0], ends[3]);
      write_ = kj::AutoCloseFd(ends[1]);
      read_ = kj::AutoCloseFd(ends[2]);
    } else {
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
      stream_ = plainStream(ends[0], ends[0]);
      read_ = kj::AutoCloseFd(ends[1]);
      write_ = kj::AutoCloseFd(dup(ends[1]));
    }
  }
  ~StreamTest() noexcept override = default;

  // What can be read without waiting, or why nothing can.
  std::string read() {
    std::byte bytes[100];
    Result<Transferred> got = stream_->read(bytes);
    if (!got) return got.error().message;
    if (got->wantsToRead) return "(not yet)";
    if (got->ended) return "(the end)";
    return {reinterpret_cast<const char*>(bytes), got->bytes};
  }
  Result<Transferred> write(std::string_view text) {
    return stream_->write({reinterpret_cast<const std::byte*>(text.data()), text.size()});
  }
  void say(std::string_view text) {
    EXPECT_EQ(::write(write_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string hear() {
    char bytes[100];
    ssize_t got = ::read(read_.get(), bytes, sizeof bytes);
    return {bytes, static_cast<size_t>(std::max<ssize_t>(got, 0))};
  }

  std::unique_ptr<Stream> stream_;
  kj::AutoCloseFd read_, write_;
};

TEST_P(StreamTest, ReadsWhatIsThere) {
  EXPECT_EQ(read(), "(not yet)");
  say("hello");
  EXPECT_EQ(read(), "hello");
  EXPECT_EQ(read(), "(not yet)");
}

TEST_P(StreamTest, ReadsTheRestOfWhatTheOtherSideSaid) {
  // Which has not read everything itself.
  ASSERT_TRUE(write("unread"));
  say("last words");
  read_ = nullptr;
  write_ = nullptr;
  EXPECT_EQ(read(), "last words");
  EXPECT_EQ(read(), "(the end)");
}

TEST_P(StreamTest, WritesUntilNobodyTakesIt) {
  Result<Transferred> put = write("hello");
  ASSERT_TRUE(put);
  EXPECT_EQ(put->bytes, 5u);
  EXPECT_EQ(hear(), "hello");

  const std::string much(1 << 20, 'x');
  do {
    put = write(much);
    ASSERT_TRUE(put);
  } while (!put->wantsToWrite);
  EXPECT_EQ(put->bytes, 0u);
  hear();
}

TEST_P(StreamTest, FailsWhenNobodyIsThere) {
  read_ = nullptr;
  write_ = nullptr;
  Result<Transferred> put = write("hello");
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().message, "Broken pipe");
}

TEST_P(StreamTest, EndsOneDirection) {
  stream_->endWriting();
  EXPECT_EQ(hear(), "");
  say("still here");
  EXPECT_EQ(read(), "still here");
}

INSTANTIATE_TEST_SUITE_P(All, StreamTest, ::testing::Values(Medium::kPipes, Medium::kSocket),
                         [](const auto& info) { return info.param == Medium::kPipes ? "Pipes" : "Socket"; });

}  // namespace
}  // namespace splicehost::remote
