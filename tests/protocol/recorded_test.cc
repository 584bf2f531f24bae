// What GHC and its own interpreter really said to each other (recorded/README.md) goes through the
// schema unchanged.

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "protocol/ghc_messages.h"
#include "protocol/message_layout.h"
#include "tests/protocol/cases.h"
#include "tests/protocol/recorded.h"
#include "tests/protocol/wire.h"

namespace splicehost::ghc {
namespace {

using testing::hex;
using testing::RecordedSession;
using testing::Turn;

constexpr std::byte kStartRecover{15};
constexpr std::byte kEndRecover{16};

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
  explicit Session(const RecordedSession& recorded) : version_(*recorded.version) {
    for (const Turn& turn : testing::readSession(recorded)) {
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
  // The tags of what they asked.
  const std::set<size_t>& asked() const { return asked_; }

 private:
  // GHC does not wait for answers that have no content, so there can be several.
  void onRequests(Bytes bytes) {
    while (!bytes.empty()) {
      capnp::MallocMessageBuilder message;
      auto request = message.initRoot<schema::Request>();
      auto decoded = decodeRequest(version_, bytes, request);
      ASSERT_TRUE(decoded) << decoded.error().message;
      ASSERT_GT(decoded->size, 0u) << kindOf(request.which()).name;
      Exchange& exchange = exchanges_.emplace_back();
      exchange.which = request.which();
      Bytes own = bytes.first(decoded->size);
      exchange.request.assign(own.begin(), own.end());
      bytes = bytes.subspan(decoded->size);
    }
    inSplice_ = kindOf(exchanges_.back().which).asks;
  }

  void onInterpreter(Bytes bytes) {
    if (inSplice_) {
      // GHC answers all questions but these two, so nothing else is before the last in a turn.
      while (bytes.size() > 1 && (bytes[0] == kStartRecover || bytes[0] == kEndRecover)) {
        bytes = bytes.subspan(bytes[0] == kEndRecover ? 2 : 1);
      }
      if (bytes.empty() || bytes[0] != std::byte{version_.runTHDoneTag}) {
        ++questions_;
        if (!bytes.empty()) asked_.insert(std::to_integer<size_t>(bytes[0]));
        return;
      }
      bytes = bytes.subspan(1);
      inSplice_ = false;
    }
    ASSERT_FALSE(exchanges_.empty());
    exchanges_.back().answer.assign(bytes.begin(), bytes.end());
  }

  const Version& version_;
  std::vector<Exchange> exchanges_;
  bool inSplice_ = false;
  int questions_ = 0;
  std::set<size_t> asked_;
};

class Recorded : public ::testing::TestWithParam<RecordedSession> {
 protected:
  const Version& version() const { return *GetParam().version; }
};

TEST_P(Recorded, RequestsSurvive) {
  Session session(GetParam());
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_GT(session.exchanges().size(), 10u);
  for (const Exchange& exchange : session.exchanges()) {
    capnp::MallocMessageBuilder message;
    auto decoded = decodeRequest(version(), exchange.request, message.initRoot<schema::Request>());
    ASSERT_TRUE(decoded);
    auto words = capnp::messageToFlatArray(message);
    capnp::FlatArrayMessageReader reader(words);
    Writer out;
    encodeRequest(version(), reader.getRoot<schema::Request>(), out);
    EXPECT_EQ(hex(out.bytes()), hex(exchange.request));
  }
}

TEST_P(Recorded, AnswersSurvive) {
  Session session(GetParam());
  for (const Exchange& exchange : session.exchanges()) {
    capnp::MallocMessageBuilder message;
    auto reply = message.initRoot<schema::Reply>();
    Status decoded = decodeReply(version(), exchange.which, exchange.answer, reply);
    ASSERT_TRUE(decoded) << kindOf(exchange.which).name << ": " << decoded.error().message;
    auto words = capnp::messageToFlatArray(message);
    capnp::FlatArrayMessageReader reader(words);
    Writer out;
    Status encoded = encodeReply(version(), exchange.which, reader.getRoot<schema::Reply>(), out);
    ASSERT_TRUE(encoded) << encoded.error().message;
    std::string announced;
    if (kindOf(exchange.which).asks) {
      announced = hex(std::as_bytes(std::span(&version().runTHDoneTag, 1)));
    }
    EXPECT_EQ(hex(out.bytes()), announced + hex(exchange.answer)) << kindOf(exchange.which).name;
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
      auto decoded =
          decodeRequest(version(), Bytes(stream).subspan(begin, arrived - begin), message.initRoot<schema::Request>());
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
                         [](const auto& info) { return testing::testName(*info.param.version, info.param.name); });

// The recordings have what they were made for.
class RecordedSessions : public ::testing::TestWithParam<Version> {};

TEST_P(RecordedSessions, CoverMostKinds) {
  const Version& version = GetParam();
  std::map<schema::Request::Which, int> kinds;
  int questions = 0;
  std::set<size_t> asked;
  for (const RecordedSession& recorded : testing::recordedSessions(version)) {
    Session session(recorded);
    questions += session.questions();
    asked.insert(session.asked().begin(), session.asked().end());
    for (const Exchange& exchange : session.exchanges()) ++kinds[exchange.which];
  }
  using R = schema::Request;
  for (auto which : {R::LOAD_ARCHIVE, R::CREATE_BCOS, R::RUN_TH, R::RUN_MOD_FINALIZERS, R::EVAL_STMT, R::RESUME_STMT,
                     R::ABANDON_STMT, R::GET_BREAKPOINT_VAR, R::GET_CLOSURE, R::SEQ, R::NEW_BREAK_ARRAY,
                     R::MK_COST_CENTRES, R::ENABLE_BREAKPOINT, R::SETUP_BREAKPOINT, R::NEW_BREAK_MODULE,
                     R::MALLOC_STRINGS, R::FREE_REFERENCES, R::SHUTDOWN}) {
    if (requestTag(version, which) >= 0) {
      EXPECT_GT(kinds[which], 0) << kindOf(which).name;
    }
  }
  EXPECT_GT(questions, 20);
  for (const std::string_view name : {"Reify", "AddModFinalizer", "PutDoc", "GetDoc", "GetPackageRoot"}) {
    const auto at = std::ranges::find(version.thMessages, name);
    if (at == version.thMessages.end()) continue;
    EXPECT_TRUE(asked.contains(static_cast<size_t>(at - version.thMessages.begin()))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, RecordedSessions, ::testing::ValuesIn(versions().begin(), versions().end()),
                         [](const auto& info) { return testing::testName(info.param); });

}  // namespace
}  // namespace splicehost::ghc
