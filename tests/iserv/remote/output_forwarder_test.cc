// What is printed on a target reaches the front end, with the names that its user knows.

#include "iserv/remote/output_forwarder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace splicehost::remote {
namespace {

class OutputForwarderTest : public ::testing::Test {
 protected:
  ~OutputForwarderTest() noexcept override = default;

  // A pipe's end to read from, which does not block, and one to print to.
  struct Pipe {
    Pipe() {
      int ends[2];
      if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
      from = kj::AutoCloseFd(ends[0]);
      to = kj::AutoCloseFd(ends[1]);
    }
    void print(const std::string& text) {
      ASSERT_EQ(write(to.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    kj::AutoCloseFd from, to;
  };

  Pipe output_, errors_;
  std::string sent_[3];  // by stream
  OutputForwarder forwarder_{kj::mv(output_.from), kj::mv(errors_.from), "/cache",
                             [this](uint8_t stream, const std::string& text) { sent_[stream] += text; }};
};

TEST_F(OutputForwarderTest, ForwardsBothStreams) {
  forwarder_.forward();
  EXPECT_EQ(sent_[STDOUT_FILENO] + sent_[STDERR_FILENO], "");
  std::string large(50'000, 'x');
  output_.print(large);
  errors_.print("warning\n");
  forwarder_.forward();
  EXPECT_EQ(sent_[STDOUT_FILENO], large);
  EXPECT_EQ(sent_[STDERR_FILENO], "warning\n");
  output_.print("more");
  forwarder_.forward();
  EXPECT_EQ(sent_[STDOUT_FILENO], large + "more");
}

TEST_F(OutputForwarderTest, StopsAtTheEnd) {
  output_.print("last");
  output_.to = nullptr;
  errors_.to = nullptr;
  forwarder_.forward();
  forwarder_.forward();
  EXPECT_EQ(sent_[STDOUT_FILENO], "last");
}

TEST_F(OutputForwarderTest, UsesTheNamesOfTheFrontEndsMachine) {
  forwarder_.rename("/cache/content/12/libHSlens.a", "/home/me/libHSlens.a");
  forwarder_.rename("/cache/content/34/Main.o", "Main.o");
  errors_.print(
      "/cache/content/34/Main.o: no symbol in /cache/content/12/libHSlens.a, /cache/content/12/libHSlens.a\n");
  forwarder_.forward();
  EXPECT_EQ(sent_[STDERR_FILENO], "Main.o: no symbol in /home/me/libHSlens.a, /home/me/libHSlens.a\n");
  forwarder_.print(STDERR_FILENO, "/cache/content/34/Main.o is gone");
  EXPECT_TRUE(sent_[STDERR_FILENO].ends_with("Main.o is gone"));
  EXPECT_EQ(forwarder_.translated("/cache/content/56/x is unknown"), "/cache/content/56/x is unknown");
  EXPECT_EQ(forwarder_.translated("/elsewhere"), "/elsewhere");
}

}  // namespace
}  // namespace splicehost::remote
