#include "iserv/front_end/interpreter.h"

#include <gtest/gtest.h>

#include <deque>

namespace splicehost {
namespace {

using Reply = std::function<void(schema::FromInterpreter::Builder)>;

// Says what a test has it say.
class Scripted : public Interpreter {
 public:
  std::deque<Reply> replies;
  bool isNew = false;

  Result<Answer> answer(schema::Request::Reader, schema::Reply::Builder) override { return Answer::kNone; }
  Status sendAnswer(capnp::MessageBuilder&) override { return Done{}; }
  size_t mostPending() const override { return 4; }
  bool buffered() const override { return false; }
  int fd() const override { return -1; }
  std::optional<Child::Exit> end(Ending, Attention&) override { return std::nullopt; }

  // A request of the client's, or what it has been answered already.
  void request(schema::Request::Which which, const std::string& subject, bool answered) {
    capnp::MallocMessageBuilder message;
    message.initRoot<schema::ToInterpreter>();
    EXPECT_TRUE(send(message, {which, subject, 0, answered}, true));
  }

 private:
  Status put(capnp::MessageBuilder&, bool) override { return Done{}; }
  bool isStarting() const override { return isNew; }
  Result<std::optional<schema::FromInterpreter::Reader>> take() override {
    if (replies.empty()) return gone();
    message_ = std::make_unique<capnp::MallocMessageBuilder>();
    replies.front()(message_->initRoot<schema::FromInterpreter>());
    replies.pop_front();
    return std::optional(message_->getRoot<schema::FromInterpreter>().asReader());
  }

  std::unique_ptr<capnp::MallocMessageBuilder> message_;
};

const Reply kDone = [](schema::FromInterpreter::Builder message) { message.initReply().setDone(); };
const Reply kFalse = [](schema::FromInterpreter::Builder message) { message.initReply().setBool(false); };
const Reply kFailed = [](schema::FromInterpreter::Builder message) { message.initReply().setFailed("no memory"); };
const Reply kNoLibrary = [](schema::FromInterpreter::Builder message) {
  message.initReply().initLoadedDll().setFailed("not found");
};

TEST(InterpreterTest, WhatIsAnsweredAlreadyIsNotForTheClient) {
  Scripted interpreter;
  interpreter.request(schema::Request::INIT_LINKER, "initObjLinker", true);
  interpreter.request(schema::Request::RESOLVE_OBJS, "resolveObjs", false);
  interpreter.replies = {kDone, kFalse};
  auto first = interpreter.receive();
  ASSERT_TRUE(first);
  EXPECT_FALSE(*first);
  auto second = interpreter.receive();
  ASSERT_TRUE(second);
  ASSERT_TRUE(*second);
  EXPECT_FALSE((*second)->getReply().getBool());
  EXPECT_EQ(interpreter.pending().front().subject, "resolveObjs");
  interpreter.done();
  EXPECT_TRUE(interpreter.pending().empty());
}

TEST(InterpreterTest, WhatWasAnsweredTooSoonIsAnError) {
  for (const auto& [which, reply, message] :
       {std::tuple{schema::Request::RESOLVE_OBJS, kFalse, "resolveObjs: a symbol is missing"},
        std::tuple{schema::Request::LOAD_DLL, kNoLibrary, "resolveObjs: not found"},
        std::tuple{schema::Request::LOAD_OBJ, kFailed, "resolveObjs: no memory"}}) {
    Scripted interpreter;
    interpreter.request(which, "resolveObjs", true);
    interpreter.replies = {reply};
    auto received = interpreter.receive();
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().message, message);
    EXPECT_FALSE(interpreter.isGone());
  }
}

TEST(InterpreterTest, AReplyToNothingIsAnError) {
  Scripted interpreter;
  interpreter.replies = {kDone};
  EXPECT_FALSE(interpreter.receive());
}

TEST(InterpreterTest, OneThatIsGoneSaysWhatItWasDoing) {
  Scripted starting;
  starting.isNew = true;
  EXPECT_EQ(starting.receive().error().message, "while it was starting");
  Scripted idle;
  EXPECT_EQ(idle.receive().error().message, "while it was idle");
  EXPECT_TRUE(idle.isGone());
  Scripted busy;
  busy.request(schema::Request::LOAD_OBJ, "loadObj a.o", false);
  EXPECT_EQ(busy.receive().error().message, "while it was busy with: loadObj a.o");
}

TEST(InterpreterTest, SystemLibrariesThatItIsLinkedWithAreFound) {
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<schema::Request>();
  capnp::MallocMessageBuilder answer;
  auto reply = answer.initRoot<schema::Reply>();
  request.setFindSystemLibrary("libgmp.so");
  ASSERT_TRUE(answerWithoutInterpreter(request, {"libgmp.so"}, reply));
  EXPECT_EQ(reply.asReader().getMaybeText().getText(), "gmp.so");
  request.setFindSystemLibrary("libz.so");
  ASSERT_TRUE(answerWithoutInterpreter(request, {"libgmp.so"}, reply));
  EXPECT_TRUE(reply.getMaybeText().isNothing());
  request.setLoadObj("a.o");
  EXPECT_FALSE(answerWithoutInterpreter(request, {"libgmp.so"}, reply));
}

}  // namespace
}  // namespace splicehost
