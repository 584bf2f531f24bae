// What GHC and its own interpreter really said to each other (recorded/README.md) goes through the
// schema unchanged.

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <map>

#include "protocol/describe.h"
#include "protocol/ghc_messages.h"
#include "tests/protocol/recorded.h"
#include "tests/protocol/wire.h"

namespace splicehost::ghc {
namespace {

using testing::hex;
using testing::Turn;

const Version& kGhc902 = *findVersion("9.0.2");
constexpr std::byte kStartRecover{15};
constexpr std::byte kEndRecover{16};

bool runsTemplateHaskell(schema::Request::Which which) {
  return which == schema::Request::RUN_TH || which == schema::Request::RUN_MOD_FINALIZERS;
}

// A request and what the interpreter answered.
struct Exchange {
  schema::Request::Which which;
  std::vector<std::byte> request;
  // Without RunTHDone.
  std::vector<std::byte> answer;
};

// Follows a recorded session, as the front end does.
class Session {
 public:
  explicit Session(const std::string& name) {
    for (const Turn& turn : testing::readSession(name)) {
      if (!turn.fromGhc) {
        onInterpreter(turn.bytes);
      } else if (!inSplice_) {
        onRequests(turn.bytes);
      }
    }
  }

  const std::vector<Exchange>& exchanges() const { return exchanges_; }
  // How often the recorded splices asked something.
  int questions() const { return questions_; }

 private:
  // GHC does not wait for answers that have no content, so there can be several.
  void onRequests(Bytes bytes) {
    while (!bytes.empty()) {
      capnp::MallocMessageBuilder message;
      auto request = message.initRoot<schema::Request>();
      auto decoded = decodeRequest(kGhc902, bytes, request);
      ASSERT_TRUE(decoded) << decoded.error().message;
      ASSERT_GT(decoded->size, 0u) << requestName(request.which());
      Exchange& exchange = exchanges_.emplace_back();
      exchange.which = request.which();
      Bytes own = bytes.first(decoded->size);
      exchange.request.assign(own.begin(), own.end());
      bytes = bytes.subspan(decoded->size);
    }
    inSplice_ = runsTemplateHaskell(exchanges_.back().which);
  }

  void onInterpreter(Bytes bytes) {
    if (inSplice_) {
      // GHC answers all questions but these two, so nothing else is before the last in a turn.
      while (bytes.size() > 1 && (bytes[0] == kStartRecover || bytes[0] == kEndRecover)) {
        bytes = bytes.subspan(bytes[0] == kEndRecover ? 2 : 1);
      }
      if (bytes.empty() || bytes[0] != std::byte{kGhc902.runTHDoneTag}) {
        ++questions_;
        return;
      }
      bytes = bytes.subspan(1);
      inSplice_ = false;
    }
    ASSERT_FALSE(exchanges_.empty());
    exchanges_.back().answer.assign(bytes.begin(), bytes.end());
  }

  std::vector<Exchange> exchanges_;
  bool inSplice_ = false;
  int questions_ = 0;
};

class Recorded : public ::testing::TestWithParam<std::string> {};

TEST_P(Recorded, RequestsSurvive) {
  Session session(GetParam());
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_GT(session.exchanges().size(), 10u);
  for (const Exchange& exchange : session.exchanges()) {
    capnp::MallocMessageBuilder message;
    auto decoded = decodeRequest(kGhc902, exchange.request, message.initRoot<schema::Request>());
    ASSERT_TRUE(decoded);
    auto words = capnp::messageToFlatArray(message);
    capnp::FlatArrayMessageReader reader(words);
    Writer out;
    encodeRequest(kGhc902, reader.getRoot<schema::Request>(), out);
    EXPECT_EQ(hex(out.bytes()), hex(exchange.request));
  }
}

TEST_P(Recorded, AnswersSurvive) {
  Session session(GetParam());
  for (const Exchange& exchange : session.exchanges()) {
    capnp::MallocMessageBuilder message;
    auto reply = message.initRoot<schema::Reply>();
    Status decoded = decodeReply(kGhc902, exchange.which, exchange.answer, reply);
    ASSERT_TRUE(decoded) << requestName(exchange.which) << ": " << decoded.error().message;
    auto words = capnp::messageToFlatArray(message);
    capnp::FlatArrayMessageReader reader(words);
    Writer out;
    Status encoded = encodeReply(kGhc902, exchange.which, reader.getRoot<schema::Reply>(), out);
    ASSERT_TRUE(encoded) << encoded.error().message;
    std::string announced = runsTemplateHaskell(exchange.which) ? "12" : "";
    EXPECT_EQ(hex(out.bytes()), announced + hex(exchange.answer)) << requestName(exchange.which);
  }
}

// Cut at any place, a session is the same session.
TEST_P(Recorded, RequestsArriveInPieces) {
  std::vector<std::byte> stream;
  Session session(GetParam());
  for (const Exchange& exchange : session.exchanges()) {
    stream.insert(stream.end(), exchange.request.begin(), exchange.request.end());
  }
  for (size_t piece : {1, 7, 1000}) {
    size_t arrived = 0, begin = 0, messages = 0;
    while (begin < stream.size()) {
      capnp::MallocMessageBuilder message;
      auto decoded = decodeRequest(kGhc902, Bytes(stream).subspan(begin, arrived - begin),
                                   message.initRoot<schema::Request>());
      ASSERT_TRUE(decoded) << decoded.error().message;
      if (decoded->size > 0) {
        ASSERT_EQ(decoded->size, session.exchanges()[messages].request.size());
        begin += decoded->size;
        ++messages;
      } else {
        ASSERT_LE(arrived + decoded->missing, stream.size());
        arrived = std::min(arrived + piece, stream.size());
      }
    }
    EXPECT_EQ(messages, session.exchanges().size());
  }
}

INSTANTIATE_TEST_SUITE_P(Sessions, Recorded, ::testing::ValuesIn(testing::recordedSessions()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The recordings have what they were made for.
TEST(RecordedSessions, CoverMostKinds) {
  std::map<schema::Request::Which, int> kinds;
  int questions = 0;
  for (const std::string& name : testing::recordedSessions()) {
    Session session(name);
    questions += session.questions();
    for (const Exchange& exchange : session.exchanges()) ++kinds[exchange.which];
  }
  using R = schema::Request;
  for (auto which : {R::LOAD_ARCHIVE, R::CREATE_BCOS, R::RUN_TH, R::RUN_MOD_FINALIZERS,
                     R::EVAL_STMT, R::RESUME_STMT, R::ABANDON_STMT, R::GET_BREAKPOINT_VAR,
                     R::GET_CLOSURE, R::SEQ, R::NEW_BREAK_ARRAY, R::MK_COST_CENTRES,
                     R::ENABLE_BREAKPOINT, R::MALLOC_STRINGS, R::FREE_REFERENCES, R::SHUTDOWN}) {
    EXPECT_GT(kinds[which], 0) << requestName(which);
  }
  EXPECT_GT(questions, 20);
}

}  // namespace
}  // namespace splicehost::ghc
