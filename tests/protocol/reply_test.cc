// Answers on GHC's wire, both ways, and what is no answer to a request.

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/string.h>

#include <set>

#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"
#include "tests/protocol/cases.h"
#include "tests/protocol/recorded.h"
#include "tests/protocol/wire.h"

namespace splicehost::ghc {
namespace {

using testing::hex;
using testing::ReplyCase;
using testing::replyCases;
using testing::Versioned;
using testing::wire;
using Kind = schema::Request::Which;

const Version& kGhc902 = *findVersion("9.0.2");

struct Reply {
  explicit Reply(const Version& itsVersion = kGhc902) : version(itsVersion) {}

  const Version& version;
  capnp::MallocMessageBuilder message;
  schema::Reply::Builder builder = message.initRoot<schema::Reply>();

  Status decode(Kind which, Bytes bytes) { return decodeReply(version, which, bytes, builder); }
  std::string text() { return kj::str(builder.asReader()).cStr(); }
};

// What GHC gets to read.
std::vector<std::byte> bytesForGhc(const Version& version, const ReplyCase& each) {
  std::vector<std::byte> bytes = wire(each.bytes);
  if (kindOf(each.request).asks) bytes.insert(bytes.begin(), std::byte{version.runTHDoneTag});
  return bytes;
}

std::string whatIsWrong(Kind which, const std::string& description) {
  Reply reply;
  Status decoded = reply.decode(which, wire(description));
  return decoded ? "good" : decoded.error().message;
}

class Replies : public ::testing::TestWithParam<Versioned<ReplyCase>> {
 protected:
  const Version& version() const { return *GetParam().version; }
  const ReplyCase& each() const { return GetParam().each; }
};

TEST_P(Replies, AreEncoded) {
  Reply reply{version()};
  each().build(reply.builder);
  EXPECT_EQ(reply.builder.which(), kindOf(each().request).reply);
  Writer out;
  Status encoded = encodeReply(version(), each().request, reply.builder, out);
  ASSERT_TRUE(encoded) << encoded.error().message;
  EXPECT_EQ(hex(out.bytes()), hex(bytesForGhc(version(), each())));
}

TEST_P(Replies, AreDecoded) {
  Reply expected{version()}, decoded{version()};
  each().build(expected.builder);
  Status status = decoded.decode(each().request, wire(each().bytes));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(decoded.text(), expected.text());
}

TEST_P(Replies, CutShortAreRefused) {
  auto bytes = wire(each().bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    Reply reply{version()};
    Status decoded = reply.decode(each().request, Bytes(bytes).first(size));
    ASSERT_FALSE(decoded) << size << " bytes";
    EXPECT_EQ(decoded.error().message, "the answer is cut short");
  }
}

TEST_P(Replies, FollowedByBytesAreRefused) {
  auto bytes = wire(each().bytes);
  bytes.push_back(std::byte{0});
  Reply reply{version()};
  Status decoded = reply.decode(each().request, bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().message, "1 bytes follow the answer");
}

TEST_P(Replies, OfAnotherKindAreRefused) {
  for (const ReplyCase& other : replyCases(version())) {
    Reply reply{version()};
    other.build(reply.builder);
    if (reply.builder.which() == kindOf(each().request).reply) continue;
    Writer out;
    EXPECT_FALSE(encodeReply(version(), each().request, reply.builder, out)) << other.name;
    EXPECT_TRUE(out.bytes().empty()) << other.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Replies, ::testing::ValuesIn(testing::ofAllVersions(replyCases)),
                         [](const auto& info) { return testing::testName(*info.param.version, info.param.each.name); });

TEST(ReplyCases, CoverAllRequestsButGetClosure) {
  for (const Version& version : versions()) {
    std::set<Kind> kinds;
    for (const ReplyCase& each : replyCases(version)) kinds.insert(each.request);
    EXPECT_EQ(kinds.size(), version.requests.size() - 1) << version.name;
    EXPECT_FALSE(kinds.contains(Kind::GET_CLOSURE));
  }
}

TEST(ReplyCases, AreWhatGhcEncodes) {
  for (const Version& version : versions()) {
    std::vector<std::byte> all;
    for (const ReplyCase& each : replyCases(version)) {
      for (std::byte byte : bytesForGhc(version, each)) all.push_back(byte);
    }
    EXPECT_EQ(hex(all), hex(testing::readRecorded(version, "replies.bin"))) << version.name;
  }
}

// An interpreter gives the handle; whether GHC gets to see it depends on the version.
TEST(Reply, ToLoadDllHasAHandleWhereGhcWantsOne) {
  for (const char* name : {"9.6.6", "9.10.3"}) {
    Reply reply{*findVersion(name)};
    reply.builder.initLoadedDll().setHandle(0x55);
    Writer out;
    ASSERT_TRUE(encodeReply(reply.version, Kind::LOAD_DLL, reply.builder, out));
    EXPECT_EQ(hex(out.bytes()), name == std::string("9.6.6") ? "00" : "010000000000000055");
  }
}

TEST(SharedObjectHandle, DependsOnTheNameAlone) {
  EXPECT_EQ(sharedObjectHandle("libm.so.6"), sharedObjectHandle(std::string("libm.so.6")));
  EXPECT_NE(sharedObjectHandle("libm.so.6"), sharedObjectHandle("libm.so"));
  EXPECT_NE(sharedObjectHandle(""), 0u);
}

// Only Haskell can tell what is in a closure.
TEST(Reply, ToGetClosureIsPassedOn) {
  auto bytes = wire("09 #1 ff00");
  Reply reply;
  ASSERT_TRUE(reply.decode(Kind::GET_CLOSURE, bytes));
  EXPECT_EQ(kindOf(Kind::GET_CLOSURE).reply, schema::Reply::CLOSURE);
  Writer out;
  ASSERT_TRUE(encodeReply(kGhc902, Kind::GET_CLOSURE, reply.builder, out));
  EXPECT_EQ(hex(out.bytes()), hex(bytes));
}

TEST(Reply, FailedIsTheReason) {
  Reply reply;
  reply.builder.setFailed("libx.a: no archive");
  Writer out;
  Status encoded = encodeReply(kGhc902, Kind::LOAD_ARCHIVE, reply.builder, out);
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().message, "libx.a: no archive");
}

// What a success holds depends on the request; another value would have other bytes.
TEST(Reply, WithAValueOfAnotherRequestIsRefused) {
  Reply reply;
  auto result = reply.builder.initEvalStatus().initComplete().initResult();
  result.setText("a string");
  Writer out;
  Status encoded = encodeReply(kGhc902, Kind::EVAL_STMT, reply.builder, out);
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().message, "the interpreter's reply holds `text`, not `references`");
}

// The system linker names files by their bytes. GHC would wait for the rest of a character, for
// ever.
TEST(Reply, WithBytesThatAreNoCharactersCanBeRead) {
  Reply reply;
  reply.builder.initLoadedDll().setFailed("caf\xe9.so: no");
  Writer out;
  ASSERT_TRUE(encodeReply(kGhc902, Kind::LOAD_DLL, reply.builder, out));
  EXPECT_EQ(hex(out.bytes()), hex(wire("01 #11 'caf edb3a9 '.so: 20 'no")));
}

TEST(BadReply, UnknownConstructor) {
  EXPECT_EQ(whatIsWrong(Kind::RESOLVE_OBJS, "02"), "offset 0: no Bool has number 2");
  EXPECT_EQ(whatIsWrong(Kind::LOAD_DLL, "02"), "offset 0: no Maybe has number 2");
  Reply of9103{*findVersion("9.10.3")};
  Status decoded = of9103.decode(Kind::LOAD_DLL, wire("02"));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().message, "offset 0: no Either has number 2");
  EXPECT_EQ(whatIsWrong(Kind::EVAL_STMT, "02"), "offset 0: no EvalStatus has number 2");
  EXPECT_EQ(whatIsWrong(Kind::SEQ, "00 #1 02"), "offset 9: no EvalResult has number 2");
  EXPECT_EQ(whatIsWrong(Kind::EVAL_IO, "00 03"), "offset 1: no SerializableException has number 3");
  EXPECT_EQ(whatIsWrong(Kind::EVAL_IO, "00 01 02"), "offset 2: no ExitCode has number 2");
  EXPECT_EQ(whatIsWrong(Kind::RUN_TH, "03"), "offset 0: no QResult has number 3");
}

TEST(BadReply, LengthIsALie) {
  EXPECT_EQ(whatIsWrong(Kind::COST_CENTRE_STACK_INFO, "#-1"),
            "offset 0: a list of 18446744073709551615 elements, more than a message can hold");
  EXPECT_EQ(whatIsWrong(Kind::COST_CENTRE_STACK_INFO, "#40000000"), "the answer is cut short");
  EXPECT_EQ(whatIsWrong(Kind::CREATE_BCOS, "#40000000"), "the answer is cut short");
}

}  // namespace
}  // namespace splicehost::ghc
