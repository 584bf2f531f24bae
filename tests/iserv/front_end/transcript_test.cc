// Repeating a transcript with another interpreter.

#include "iserv/front_end/transcript.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <string>
#include <thread>

namespace splicehost {
namespace {

using schema::FromInterpreter;
using schema::Request;
using schema::ToInterpreter;

// Answers requests to look a symbol up with `address`, until it is hung up on.
class Interpreter {
 public:
  explicit Interpreter(uint64_t address) {
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    theirs = kj::AutoCloseFd(ends[0]);
    thread_ = std::thread([address, fd = ends[1]] { serve(address, Connection(kj::AutoCloseFd(fd))); });
  }
  ~Interpreter() {
    theirs = nullptr;
    thread_.join();
  }

  kj::AutoCloseFd theirs;

 private:
  static void serve(uint64_t address, Connection connection) {
    for (;;) {
      auto message = connection.receive<ToInterpreter>();
      if (!message || !*message) return;
      capnp::MallocMessageBuilder builder;
      auto answer = builder.initRoot<FromInterpreter>();
      if ((*message)->isHello()) {
        // Each has its own.
        answer.initHello().initAccepted().setProcessId(static_cast<uint32_t>(address));
      } else {
        answer.initReply().initMaybePointer().setPointer(address);
      }
      if (!connection.send(builder)) return;
    }
  }

  std::thread thread_;
};

uint64_t lookUp(Transcript& transcript) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<ToInterpreter>().initRequest().setLookupSymbol("symbol");
  EXPECT_TRUE(transcript.send(builder));
  auto answer = transcript.receive();
  return answer && *answer ? (*answer)->getReply().getMaybePointer().getPointer() : 0;
}

void greet(Transcript& transcript) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<ToInterpreter>().initHello();
  EXPECT_TRUE(transcript.send(builder));
  auto answer = transcript.receive();
  EXPECT_TRUE(answer && *answer && (*answer)->isHello());
}

TEST(TranscriptTest, GoesOnWithOneThatGivesTheSameAnswers) {
  Interpreter first(7), second(7);
  Transcript transcript(kj::mv(first.theirs));
  transcript.remember();
  greet(transcript);
  EXPECT_EQ(lookUp(transcript), 7u);
  ASSERT_TRUE(transcript.repeatOn(kj::mv(second.theirs)));
  EXPECT_EQ(lookUp(transcript), 7u);
}

TEST(TranscriptTest, RefusesOneThatGivesOthers) {
  Interpreter first(7), second(8);
  Transcript transcript(kj::mv(first.theirs));
  transcript.remember();
  greet(transcript);
  EXPECT_EQ(lookUp(transcript), 7u);
  Status repeated = transcript.repeatOn(kj::mv(second.theirs));
  ASSERT_FALSE(repeated);
  EXPECT_TRUE(repeated.error().message.ends_with(
      "same answers: (maybePointer = (pointer = 8)) instead of (maybePointer = (pointer = 7))"))
      << repeated.error().message;
}

TEST(TranscriptTest, AwaitsWhatWasAskedLast) {
  Interpreter second(7);
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  kj::AutoCloseFd deaf(ends[1]);
  Transcript transcript{kj::AutoCloseFd(ends[0])};
  transcript.remember();
  capnp::MallocMessageBuilder builder;
  builder.initRoot<ToInterpreter>().initRequest().setLookupSymbol("symbol");
  ASSERT_TRUE(transcript.send(builder));
  ASSERT_TRUE(transcript.repeatOn(kj::mv(second.theirs)));
  auto answer = transcript.receive();
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->getReply().getMaybePointer().getPointer(), 7u);
}

TEST(TranscriptTest, ForgetsWhatIsNotForRepeating) {
  Interpreter only(7);
  Transcript transcript(kj::mv(only.theirs));
  transcript.remember();
  EXPECT_EQ(lookUp(transcript), 7u);
  EXPECT_TRUE(transcript.remembers());
  transcript.forget();
  EXPECT_EQ(lookUp(transcript), 7u);
  EXPECT_FALSE(transcript.remembers());
}

}  // namespace
}  // namespace splicehost
