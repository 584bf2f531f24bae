// GHC's side of the front end, over pipes as GHC makes them. The test is GHC.

#include "iserv/front_end/ghc_pipes.h"

#include <gtest/gtest.h>
#include <kj/io.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/protocol/wire.h"

namespace splicehost {
namespace {

using testing::wire;
using Which = schema::Request::Which;

const std::vector<std::byte> kInitLinker = wire("01");
const std::vector<std::byte> kLoadArchive = wire("05 #8 '/lib/x.a");

class GhcPipesTest : public ::testing::Test {
 protected:
  GhcPipesTest() {
    signal(SIGPIPE, SIG_IGN);
    std::tie(fromGhc_, toFrontEnd_) = makePipe();
    std::tie(toGhc_, fromFrontEnd_) = makePipe();
    pipes_.emplace(*ghc::findVersion("9.0.2"), fromGhc_.get(), fromFrontEnd_.get(), false);
  }

  ~GhcPipesTest() noexcept override = default;

  static std::pair<kj::AutoCloseFd, kj::AutoCloseFd> makePipe() {
    int ends[2];
    if (pipe(ends) != 0) abort();
    return {kj::AutoCloseFd(ends[0]), kj::AutoCloseFd(ends[1])};
  }

  void write(std::span<const std::byte> bytes) {
    ASSERT_EQ(::write(toFrontEnd_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // GHC ends.
  void hangUp() {
    toFrontEnd_ = nullptr;
    toGhc_ = nullptr;
  }

  // What the front end has written to GHC.
  std::vector<std::byte> read() {
    std::vector<std::byte> bytes(1000);
    ssize_t size = ::read(toGhc_.get(), bytes.data(), bytes.size());
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return bytes;
  }

  Result<Client::Next> next() { return pipes_->next(message_.initRoot<schema::ToInterpreter>(), &size_); }
  Client::Next takeInAndGoOn() {
    EXPECT_TRUE(pipes_->takeIn());
    Result<Client::Next> result = next();
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : Client::Next::kGone;
  }
  // What is wrong with what GHC has written.
  std::string complaint() {
    EXPECT_TRUE(pipes_->takeIn());
    Result<Client::Next> result = next();
    return result ? "nothing" : result.error().message;
  }
  schema::Request::Reader request() { return message_.getRoot<schema::ToInterpreter>().asReader().getRequest(); }

  template <typename Fill>
  Result<bool> reply(Which which, Fill fill) {
    capnp::MallocMessageBuilder message;
    auto reply = message.initRoot<schema::Reply>();
    fill(reply);
    return pipes_->reply(0, which, reply.asReader());
  }

  kj::AutoCloseFd fromGhc_, toFrontEnd_, toGhc_, fromFrontEnd_;
  std::optional<GhcPipes> pipes_;
  capnp::MallocMessageBuilder message_;
  size_t size_ = 0;
};

TEST_F(GhcPipesTest, ReadsAMessage) {
  EXPECT_EQ(*next(), Client::Next::kNothing);
  write(kLoadArchive);
  ASSERT_EQ(takeInAndGoOn(), Client::Next::kRequest);
  EXPECT_STREQ(request().getLoadArchive().cStr(), "/lib/x.a");
  EXPECT_EQ(size_, kLoadArchive.size());
  EXPECT_EQ(*next(), Client::Next::kNothing);
}

TEST_F(GhcPipesTest, ReadsMessagesThatComeTogether) {
  std::vector<std::byte> both = kLoadArchive;
  both.insert(both.end(), kInitLinker.begin(), kInitLinker.end());
  write(both);
  ASSERT_EQ(takeInAndGoOn(), Client::Next::kRequest);
  EXPECT_TRUE(request().isLoadArchive());
  ASSERT_EQ(*next(), Client::Next::kRequest);
  EXPECT_TRUE(request().isInitLinker());
  EXPECT_EQ(*next(), Client::Next::kNothing);
}

TEST_F(GhcPipesTest, ReadsAMessageThatComesInTwoParts) {
  for (size_t first = 1; first < kLoadArchive.size(); ++first) {
    write(std::span(kLoadArchive).first(first));
    ASSERT_EQ(takeInAndGoOn(), Client::Next::kNothing) << first;
    write(std::span(kLoadArchive).subspan(first));
    ASSERT_EQ(takeInAndGoOn(), Client::Next::kRequest) << first;
    EXPECT_STREQ(request().getLoadArchive().cStr(), "/lib/x.a") << first;
  }
}

TEST_F(GhcPipesTest, EndsWithGhc) {
  write(kInitLinker);
  hangUp();
  EXPECT_EQ(takeInAndGoOn(), Client::Next::kRequest);
  EXPECT_EQ(takeInAndGoOn(), Client::Next::kGone);
  EXPECT_TRUE(pipes_->gone());
}

TEST_F(GhcPipesTest, SaysHowMuchOfAMessageIsMissing) {
  write(kInitLinker);
  write(std::span(kLoadArchive).first(11));
  hangUp();
  ASSERT_EQ(takeInAndGoOn(), Client::Next::kRequest);
  EXPECT_EQ(complaint(), "GHC's stream ends inside message 1: after 11 bytes of it, at least 6 are missing");
}

TEST_F(GhcPipesTest, SaysWhichMessageIsNone) {
  write(kInitLinker);
  write(wire("f0"));
  ASSERT_EQ(takeInAndGoOn(), Client::Next::kRequest);
  Result<Client::Next> result = next();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.starts_with("GHC's message 1: ")) << result.error().message;
  EXPECT_NE(result.error().message.find("unknown message tag 240"), std::string::npos) << result.error().message;
}

// A splice asks, and what GHC answers is for the interpreter alone: its end is known to nobody else.
TEST_F(GhcPipesTest, PassesOnAQuestionAndItsAnswer) {
  EXPECT_TRUE(pipes_->ask(wire("0b 'who")));
  EXPECT_EQ(read(), wire("0b 'who"));

  EXPECT_TRUE(pipes_->answerToSplice().empty());
  write(wire("'me"));
  write(kInitLinker);
  EXPECT_TRUE(pipes_->takeIn());
  EXPECT_EQ(testing::hex(pipes_->answerToSplice()), "6d6501");
  pipes_->answerTaken(2);
  ASSERT_EQ(*next(), Client::Next::kRequest);
  EXPECT_TRUE(request().isInitLinker());
}

TEST_F(GhcPipesTest, TellsReplies) {
  Result<bool> told = reply(Which::RESOLVE_OBJS, [](auto reply) { reply.setBool(true); });
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_TRUE(*told);
  EXPECT_EQ(read(), wire("01"));
}

TEST_F(GhcPipesTest, RefusesAReplyToSomethingElse) {
  EXPECT_FALSE(reply(Which::RESOLVE_OBJS, [](auto reply) { reply.initClosure(3); }));
}

TEST_F(GhcPipesTest, NoticesThatGhcDoesNotRead) {
  hangUp();
  EXPECT_FALSE(*reply(Which::RESOLVE_OBJS, [](auto reply) { reply.setBool(true); }));
  EXPECT_FALSE(pipes_->ask(wire("'who")));
}

TEST_F(GhcPipesTest, ComplainsInItsName) {
  ::testing::internal::CaptureStderr();
  pipes_->complain("the interpreter is gone");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "iserv: the interpreter is gone\n");
}

}  // namespace
}  // namespace splicehost
