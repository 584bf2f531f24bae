// Requests on GHC's wire: each kind both ways, arriving in pieces, and damaged.

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/string.h>

#include <random>
#include <set>

#include "protocol/ghc_messages.h"
#include "tests/protocol/cases.h"
#include "tests/protocol/recorded.h"
#include "tests/protocol/wire.h"

namespace splicehost::ghc {
namespace {

using testing::hex;
using testing::RequestCase;
using testing::requestCases;
using testing::Versioned;
using testing::wire;

const Version& kGhc902 = *findVersion("9.0.2");

// A decoded request with all that it needs.
struct Request {
  explicit Request(const Version& itsVersion = kGhc902) : version(itsVersion) {}

  const Version& version;
  capnp::MallocMessageBuilder message;
  schema::Request::Builder builder = message.initRoot<schema::Request>();

  Result<Decoded> decode(Bytes bytes) { return decodeRequest(version, bytes, builder); }
  std::string text() { return kj::str(builder.asReader()).cStr(); }
  std::vector<std::byte> encode() {
    Writer out;
    encodeRequest(version, builder, out);
    return out.take();
  }
};

// Decodes bytes that are wrong, and returns what is said about them.
std::string whatIsWrong(const std::string& description) {
  Request request;
  auto decoded = request.decode(wire(description));
  if (!decoded) return decoded.error().message;
  return decoded->size > 0 ? "complete" : "incomplete";
}

class Requests : public ::testing::TestWithParam<Versioned<RequestCase>> {
 protected:
  const Version& version() const { return *GetParam().version; }
  std::vector<std::byte> bytes() const { return wire(GetParam().each.bytes); }
};

TEST_P(Requests, AreDecoded) {
  auto bytes = this->bytes();
  Request expected{version()}, decoded{version()};
  GetParam().each.build(expected.builder);
  auto result = decoded.decode(bytes);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->size, bytes.size());
  EXPECT_EQ(decoded.text(), expected.text());
}

TEST_P(Requests, AreEncoded) {
  Request request{version()};
  GetParam().each.build(request.builder);
  EXPECT_EQ(hex(request.encode()), hex(bytes()));
}

// A pipe can cut a message anywhere. What is said to be missing is waited for, so it must not be
// more than what will come.
TEST_P(Requests, ArriveByteByByte) {
  auto bytes = this->bytes();
  Request request{version()};
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto decoded = request.decode(Bytes(bytes).first(size));
    ASSERT_TRUE(decoded) << size << " bytes: " << decoded.error().message;
    EXPECT_EQ(decoded->size, 0u) << size << " bytes";
    EXPECT_GT(decoded->missing, 0u) << size << " bytes";
    EXPECT_LE(decoded->missing, bytes.size() - size) << size << " bytes";
  }
  auto decoded = request.decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->size, bytes.size());
  EXPECT_EQ(hex(request.encode()), hex(bytes));
}

TEST_P(Requests, EndBeforeTheNext) {
  auto bytes = this->bytes();
  size_t size = bytes.size();
  for (const char* next : {"00", "ff", "05 #3 'abc"}) {
    auto both = bytes;
    for (std::byte byte : wire(next)) both.push_back(byte);
    Request request{version()};
    auto decoded = request.decode(both);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->size, size);
  }
}

// Whatever is changed in a message, it is read, found incomplete, or refused with a reason. (The
// sanitizer build sees what is touched meanwhile.)
TEST_P(Requests, DamageIsHarmless) {
  auto bytes = this->bytes();
  std::mt19937 random(1);  // fixed, so that a failure can be repeated
  for (int round = 0; round < 200; ++round) {
    auto damaged = bytes;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      damaged[random() % damaged.size()] = static_cast<std::byte>(random() % 2 == 0 ? random() : random() % 8);
    }
    Request request{version()};
    auto decoded = request.decode(damaged);
    if (!decoded) {
      EXPECT_FALSE(decoded.error().message.empty());
    } else if (decoded->size > 0) {
      EXPECT_EQ(hex(request.encode()), hex(Bytes(damaged).first(decoded->size)));
    } else {
      EXPECT_GT(decoded->missing, 0u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Requests, ::testing::ValuesIn(testing::ofAllVersions(requestCases)),
                         [](const auto& info) { return testing::testName(*info.param.version, info.param.each.name); });

TEST(RequestCases, CoverAllTags) {
  for (const Version& version : versions()) {
    std::set<size_t> tags;
    for (const RequestCase& each : requestCases(version)) {
      tags.insert(std::to_integer<size_t>(wire(each.bytes)[0]));
    }
    EXPECT_EQ(tags.size(), version.requests.size()) << version.name;
    EXPECT_EQ(*tags.rbegin(), version.requests.size() - 1) << version.name;
  }
  EXPECT_EQ(kGhc902.requests.size(), 39u);
  EXPECT_EQ(findVersion("9.6.6")->requests.size(), 39u);
  EXPECT_EQ(findVersion("9.10.3")->requests.size(), 41u);
}

TEST(RequestCases, AreWhatGhcEncodes) {
  for (const Version& version : versions()) {
    std::vector<std::byte> all;
    for (const RequestCase& each : requestCases(version)) {
      for (std::byte byte : wire(each.bytes)) all.push_back(byte);
    }
    EXPECT_EQ(hex(all), hex(testing::readRecorded(version, "requests.bin"))) << version.name;
  }
}

TEST(Request, OfEveryKindHasOneTag) {
  for (const Version& version : versions()) {
    EXPECT_EQ(findVersion(version.name), &version);
    std::set<schema::Request::Which> kinds;
    for (size_t tag = 0; tag < version.requests.size(); ++tag) {
      EXPECT_EQ(requestTag(version, version.requests[tag]), static_cast<int>(tag));
      kinds.insert(version.requests[tag]);
    }
    EXPECT_EQ(kinds.size(), version.requests.size());
  }
  EXPECT_EQ(findVersion("9.0.1"), nullptr);
}

// One tag has two meanings.
TEST(Request, OfATagIsWhatTheVersionSays) {
  auto bytes = wire("1c #13 #2 01 ffffffffffffff");
  Request of902, of966{*findVersion("9.6.6")};
  auto decoded = of902.decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->size, 18u);
  EXPECT_TRUE(of902.builder.isEnableBreakpoint());
  decoded = of966.decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->size, 25u);
  EXPECT_TRUE(of966.builder.isSetupBreakpoint());
}

// --- Large ---------------------------------------------------------------------------------------

// Such messages come in hundreds of pieces, and are decoded as often.
TEST(Request, InManyPiecesTakesNoMoreSpace) {
  Writer out;
  out.byte(15);  // mallocStrings
  constexpr int kStrings = 20'000;
  std::string string(40, 's');
  out.word(kStrings);
  for (int i = 0; i < kStrings; ++i) out.byteString(std::as_bytes(std::span(string)));

  Request atOnce, inPieces;
  ASSERT_TRUE(atOnce.decode(out.bytes()));
  for (size_t size = 0; size < out.bytes().size(); size += 10'000) {
    auto decoded = inPieces.decode(out.bytes().first(size));
    ASSERT_TRUE(decoded);
    ASSERT_GT(decoded->missing, 0u);
  }
  auto decoded = inPieces.decode(out.bytes());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->size, out.bytes().size());
  EXPECT_EQ(inPieces.message.sizeInWords(), atOnce.message.sizeInWords());
}

TEST(Request, OfManyMegabytesIsReadWithOneHint) {
  Writer out;
  out.byte(12);  // createBcos
  out.word(1);
  std::vector<std::byte> code(20 << 20, std::byte{7});
  out.byteString(code);
  Request request;
  auto decoded = request.decode(out.bytes().first(17));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->missing, code.size());
  decoded = request.decode(out.bytes());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->size, out.bytes().size());
  EXPECT_EQ(request.builder.asReader().getCreateBcos()[0].size(), code.size());
}

// --- Wrong bytes ---------------------------------------------------------------------------------

TEST(BadRequest, UnknownTag) {
  Request of9103{*findVersion("9.10.3")};
  auto decoded = of9103.decode(wire("29"));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().message, "unknown message tag 41 at offset 0 (GHC 9.10.3 has tags 0 to 40)");
  EXPECT_EQ(whatIsWrong("27"), "unknown message tag 39 at offset 0 (GHC 9.0.2 has tags 0 to 38)");
  EXPECT_EQ(whatIsWrong("ff 00"), "unknown message tag 255 at offset 0 (GHC 9.0.2 has tags 0 to 38)");
}

TEST(BadRequest, UnknownConstructor) {
  EXPECT_EQ(whatIsWrong("13 01000200 00 #9"), "message with tag 19: offset 3: no Bool has number 2");
  EXPECT_EQ(whatIsWrong("13 01000100 02 #9"), "message with tag 19: offset 5: no EvalExpr has number 2");
  EXPECT_EQ(whatIsWrong("10 02 #0 00"), "message with tag 16: offset 1: no FFIConv has number 2");
  EXPECT_EQ(whatIsWrong("10 00 #2 010c 00"), "message with tag 16: offset 11: no FFIType has number 12");
  EXPECT_EQ(whatIsWrong("10 00 #0 0c"), "message with tag 16: offset 10: no FFIType has number 12");
  EXPECT_EQ(whatIsWrong("22 #1 #2 05 00"), "message with tag 34: offset 17: no THResultType has number 5");
  EXPECT_EQ(whatIsWrong("22 #1 #2 00 02"), "message with tag 34: offset 18: no Maybe has number 2");
}

// A length is refused if no message can be so long; if one can, its bytes are waited for. Nothing
// is allocated for it in either case.
TEST(BadRequest, LengthIsALie) {
  const std::string tooLong = " elements, more than a message can hold";
  EXPECT_EQ(whatIsWrong("05 #0x8000000000000000"),
            "message with tag 5: offset 1: a list of 9223372036854775808 elements, more than a "
            "message can hold");
  EXPECT_EQ(whatIsWrong("05 #-1"), "message with tag 5: offset 1: a list of 18446744073709551615" + tooLong);
  EXPECT_EQ(whatIsWrong("0d #-1"), "message with tag 13: offset 1: a list of 18446744073709551615" + tooLong);
  // Times eight these are 0 and 8.
  EXPECT_EQ(whatIsWrong("0d #0x2000000000000000"),
            "message with tag 13: offset 1: a list of 2305843009213693952" + tooLong);
  EXPECT_EQ(whatIsWrong("0f #0x2000000000000001"),
            "message with tag 15: offset 1: a list of 2305843009213693953" + tooLong);
  EXPECT_EQ(whatIsWrong("0c #1 #-2"), "message with tag 12: offset 9: a list of 18446744073709551614" + tooLong);
  EXPECT_EQ(whatIsWrong("19 #0 #0x1000000000000000"),
            "message with tag 25: offset 9: a list of 1152921504606846976" + tooLong);
}

TEST(BadRequest, LongerThanTheLimit) {
  std::string limit = std::to_string(kMessageLimit);
  EXPECT_EQ(whatIsWrong("0e #" + limit),
            "message with tag 14: offset 9: the message would be longer "
            "than " +
                limit + " bytes");
  EXPECT_EQ(whatIsWrong("0e #" + std::to_string(kMessageLimit - 9)), "incomplete");
  // Each is small enough, but not both.
  Writer out;
  out.byte(12);
  out.word(2);
  std::vector<std::byte> half(1000);
  out.byteString(half);
  out.word(kMessageLimit - 500);
  Request request;
  auto decoded = request.decode(out.bytes());
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().message,
            "message with tag 12: offset 1025: the message would be longer "
            "than " +
                limit + " bytes");
}

TEST(BadRequest, LengthThatIsNotThereTakesNoSpace) {
  for (const char* bytes : {"0d #40000000", "0c #40000000", "0f #40000000", "10 00 #300000000", "19 #0 #20000000",
                            "20 #1 #40000000", "0e #400000000"}) {
    Request request;
    size_t before = request.message.sizeInWords();
    auto decoded = request.decode(wire(bytes));
    ASSERT_TRUE(decoded) << bytes;
    EXPECT_GT(decoded->missing, 0u) << bytes;
    EXPECT_LT(request.message.sizeInWords(), before + 16) << bytes;
  }
}

TEST(BadRequest, ExpressionIsNestedTooDeeply) {
  auto nested = [](int depth) {
    std::string bytes = "13 00000000";
    for (int i = 0; i < depth; ++i) bytes += " 01 00 #1";
    return bytes + " 00 #2";
  };
  EXPECT_EQ(whatIsWrong(nested(50)), "complete");
  EXPECT_EQ(whatIsWrong(nested(51)),
            "message with tag 19: offset 506: an expression is nested too "
            "deeply");
  // The other way of nesting.
  std::string functions = "13 00000000";
  for (int i = 0; i < 100'000; ++i) functions += " 01";
  EXPECT_EQ(whatIsWrong(functions), "message with tag 19: offset 56: an expression is nested too deeply");
}

TEST(BadRequest, InvalidCharacters) {
  // A continuation byte, the two bytes that would encode ASCII, and beyond Unicode.
  EXPECT_EQ(whatIsWrong("05 #2 '/ bf"), "message with tag 5: offset 10: byte 191 does not begin a character");
  EXPECT_EQ(whatIsWrong("05 #2 c0 80 '/"), "message with tag 5: offset 9: byte 192 does not begin a character");
  EXPECT_EQ(whatIsWrong("05 #1 f5 808080"), "message with tag 5: offset 9: byte 245 does not begin a character");
  EXPECT_EQ(whatIsWrong("05 #2 c3 28 '/"), "message with tag 5: offset 9: a character is cut short");
  EXPECT_EQ(whatIsWrong("05 #1 f0 9f98 '/"), "message with tag 5: offset 9: a character is cut short");
  // Not wrong: the last character has not arrived.
  EXPECT_EQ(whatIsWrong("05 #1 f0 9f98"), "incomplete");
}

}  // namespace
}  // namespace splicehost::ghc
