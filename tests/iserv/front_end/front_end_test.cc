// The front end between a GHC and an interpreter of which one misbehaves: how it ends, and what it
// says. (tests/integration/ has the real ones.)

#include "iserv/front_end/front_end.h"

#include <capnp/serialize.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "iserv/front_end/ghc_pipes.h"
#include "iserv/front_end/shared_interpreter.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

using schema::FromInterpreter;

// GHC's messages.
const std::string kShutdown("\x00", 1);
const std::string kInitLinker = "\x01";
const std::string kResolveObjs = "\x0a";

// How a script waits for the front end's first message, of which it takes a part.
const std::string kTakeHello = "head -c 1 <&3 >/dev/null\n";

template <typename Fill>
std::string message(Fill fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<FromInterpreter>());
  auto words = capnp::messageToFlatArray(builder);
  auto bytes = words.asChars();
  return {bytes.begin(), bytes.size()};
}

std::string hello() {
  return message([](FromInterpreter::Builder from) { from.initHello().initAccepted(); });
}

std::string done() {
  return message([](FromInterpreter::Builder from) { from.initReply().setDone(); });
}

std::string yes() {
  return message([](FromInterpreter::Builder from) { from.initReply().setBool(true); });
}

struct Outcome {
  int status;
  std::string said;  // on stderr
  std::string toGhc;
};

class FrontEndTest : public ::testing::Test {
 protected:
  FrontEndTest() { signal(SIGPIPE, SIG_IGN); }

  // Runs a front end whose interpreter is a shell script, which has the front end's socket as
  // descriptor 3, and whose GHC sends `fromGhc` and no more. GHC hangs up at once if `ghcLeaves`.
  int run(const std::string& script, const std::string& fromGhc, std::string* toGhc = nullptr, bool ghcLeaves = false) {
    return run(programOf(script), fromGhc, toGhc, ghcLeaves);
  }

  InterpreterProgram programOf(const std::string& script) {
    InterpreterProgram program;
    program.path = directory_.write("interpreter", "#!/bin/bash\nexec 3<&$2\n" + kTakeHello + script + "\n");
    program.name = "interpreter";
    chmod(program.path.c_str(), 0755);
    return program;
  }

  int run(const InterpreterProgram& program, const std::string& fromGhc, std::string* toGhc, bool ghcLeaves,
          bool listsByteCode = false) {
    FrontEndOptions options;
    options.version = ghc::findVersion("9.0.2");
    options.verbose = program.verbose;
    options.listsByteCode = listsByteCode;
    options.start = [&](InterpreterUser user) { return startInterpreter(program, std::move(user)); };
    int requests[2], answers[2];
    if (pipe2(requests, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) abort();
    if (write(requests[1], fromGhc.data(), fromGhc.size()) < 0) abort();
    if (ghcLeaves) close(requests[1]);
    GhcPipes ghc(*options.version, requests[0], answers[1], options.verbose);
    int status = FrontEnd(options, ghc).run();
    close(requests[0]);
    if (!ghcLeaves) close(requests[1]);
    close(answers[1]);
    char buffer[1000];
    ssize_t got = read(answers[0], buffer, sizeof buffer);
    close(answers[0]);
    if (toGhc != nullptr) toGhc->assign(buffer, static_cast<size_t>(std::max<ssize_t>(got, 0)));
    return status;
  }

  Outcome runAndListen(const std::string& script, const std::string& fromGhc, bool ghcLeaves = false) {
    Outcome outcome;
    ::testing::internal::CaptureStderr();
    outcome.status = run(script, fromGhc, &outcome.toGhc, ghcLeaves);
    outcome.said = ::testing::internal::GetCapturedStderr();
    return outcome;
  }

  // A command of a script that sends these bytes.
  std::string sends(const std::string& bytes) {
    return "cat '" + directory_.write("message" + std::to_string(++files_), bytes) + "' >&3; ";
  }

  testing::TemporaryDirectory directory_;
  int files_ = 0;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(FrontEndTest, RelaysUntilShutdown) {
  Outcome outcome = runAndListen(sends(hello() + done() + yes() + done()), kInitLinker + kResolveObjs + kShutdown);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.said, "");
  EXPECT_EQ(outcome.toGhc, "\x01");
}

TEST_F(FrontEndTest, EndsQuietlyWithGhc) {
  Outcome outcome = runAndListen(sends(hello() + yes()) + "cat <&3 >/dev/null", kResolveObjs, true);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.said, "");
}

TEST_F(FrontEndTest, SaysWhichProgramCannotBeStarted) {
  InterpreterProgram program;
  program.path = directory_.path() / "nothing-here";
  ::testing::internal::CaptureStderr();
  int status = run(program, kShutdown, nullptr, false);
  std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(status, 1);
  EXPECT_TRUE(has(said, program.path)) << said;
}

TEST_F(FrontEndTest, SaysWhatIsWrongWithGhcsMessage) {
  Outcome outcome = runAndListen(sends(hello() + yes()) + "cat <&3 >/dev/null", kResolveObjs + "\xf0");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "unknown message tag 240")) << outcome.said;
}

TEST_F(FrontEndTest, SaysThatGhcStoppedInsideAMessage) {
  Outcome outcome = runAndListen(sends(hello()) + "cat <&3 >/dev/null", std::string("\x02\0\0", 3), true);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "ends inside message")) << outcome.said;
}

TEST_F(FrontEndTest, PassesOnTheInterpretersExitStatus) {
  Outcome outcome = runAndListen(sends(hello()) + "exit 7", kResolveObjs);
  EXPECT_EQ(outcome.status, 7);
  EXPECT_TRUE(has(outcome.said, "exit status 7")) << outcome.said;
  EXPECT_TRUE(has(outcome.said, "resolveObjs")) << outcome.said;
}

TEST_F(FrontEndTest, FailsIfTheInterpreterEndsTooSoon) {
  Outcome outcome = runAndListen("exit 0", kResolveObjs);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "exit status 0")) << outcome.said;
}

TEST_F(FrontEndTest, EndsByTheInterpretersSignal) {
  EXPECT_EXIT(run(sends(hello()) + "kill -SEGV $$", kResolveObjs), ::testing::KilledBySignal(SIGSEGV),
              "ended by signal 11.*resolveObjs");
}

TEST_F(FrontEndTest, SaysWhyTheInterpreterRefuses) {
  std::string refusal =
      message([](FromInterpreter::Builder from) { from.initHello().setRefused("the client's way is dynamic"); });
  Outcome outcome = runAndListen(sends(refusal), kResolveObjs);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "the client's way is dynamic")) << outcome.said;
}

TEST_F(FrontEndTest, SaysWhyARequestFailed) {
  std::string failed =
      message([](FromInterpreter::Builder from) { from.initReply().setFailed("/x/libfoo.a: member 3 is cut short"); });
  Outcome outcome = runAndListen(sends(hello() + failed), std::string("\x05\0\0\0\0\0\0\0\x02/x", 11) + kResolveObjs);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "member 3 is cut short")) << outcome.said;
  EXPECT_TRUE(has(outcome.said, "loadArchive /x")) << outcome.said;
  EXPECT_EQ(outcome.toGhc, "");
}

// GHC does not wait for the answer to loadArchive, and neither does the front end: the interpreter
// may be gone when the next request is sent.
TEST_F(FrontEndTest, SaysWhyAnEarlierRequestFailed) {
  std::string failed = message([](FromInterpreter::Builder from) { from.initReply().setFailed("/x: no archive"); });
  for (const char* delay : {"", "sleep 0.1"}) {
    Outcome outcome =
        runAndListen(sends(hello() + failed) + "exec 3>&-; " + delay,
                     std::string("\x05\0\0\0\0\0\0\0\x02/x", 11) + kInitLinker + kInitLinker + kResolveObjs);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_TRUE(has(outcome.said, "/x: no archive")) << outcome.said;
  }
}

// Something that was linked to the interpreter, or its shell, prints to the wrong descriptor.
TEST_F(FrontEndTest, SaysThatTheInterpreterTalksNonsense) {
  for (const std::string& before : {std::string(), hello()}) {
    Outcome outcome = runAndListen(sends(before + "*** warning ***\n") + "exec sleep 10", kResolveObjs);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_TRUE(has(outcome.said, "iserv: the interpreter's answer: ")) << outcome.said;
  }
}

TEST_F(FrontEndTest, SaysThatAnAnswerIsCutShort) {
  std::string answer = yes();
  answer.pop_back();
  Outcome outcome = runAndListen(sends(hello() + answer), kResolveObjs);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "hung up inside a message")) << outcome.said;
}

TEST_F(FrontEndTest, RefusesAnAnswerOfAnotherKind) {
  std::string closure = message([](FromInterpreter::Builder from) { from.initReply().initClosure(3); });
  Outcome outcome = runAndListen(sends(hello() + closure), kResolveObjs);
  EXPECT_EQ(outcome.toGhc, "");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(has(outcome.said, "iserv: ")) << outcome.said;
}

// A recorded message, with the tag that GHC's recording goes without.
TEST_F(FrontEndTest, ListsByteCodeOnDemand) {
  std::ifstream file(SPLICEHOST_RECORDED_BCOS "/9.0.2/splice.bin", std::ios::binary);
  std::string byteCode{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(byteCode.empty());
  auto tag = ghc::requestTag(*ghc::findVersion("9.0.2"), schema::Request::CREATE_BCOS);
  byteCode.insert(0, 1, static_cast<char>(tag));
  std::string pointers = message([](FromInterpreter::Builder from) { from.initReply().initPointers(1).set(0, 1); });
  InterpreterProgram program = programOf(sends(hello() + pointers + done()));
  program.verbose = true;
  for (bool lists : {false, true}) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run(program, byteCode + kShutdown, nullptr, false, lists), 0);
    std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_TRUE(has(said, "createBcos")) << said;
    EXPECT_EQ(has(said, "\nBCO 0: arity 0"), lists) << said;
    EXPECT_EQ(has(said, "PUSH_G"), lists) << said;
  }
}

}  // namespace
}  // namespace splicehost
