// Replies leave in the order of the requests, and at the time that somebody waits for one.

#include "iserv/remote/reply_reorder_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/remote.capnp.h"

namespace splicehost::remote {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ReplyReorderBufferTest : public ::testing::Test {
 protected:
  void reply(uint64_t number) {
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<schema::Reply>();
    reply.setPointer(number);
    buffer_.addReply(number, reply);
  }
  // What is due: the pointers that reply() has put in.
  std::vector<uint64_t> due() {
    std::vector<uint64_t> numbers;
    flushed_.clear();
    while (auto due = buffer_.next()) {
      auto message = due->message->getRoot<schema::FromTarget>();
      numbers.push_back(message.getInterpreter().getReply().getPointer());
      if (due->flush) flushed_.push_back(numbers.back());
    }
    return numbers;
  }

  ReplyReorderBuffer buffer_;
  std::vector<uint64_t> flushed_;
};

TEST_F(ReplyReorderBufferTest, KeepsTheOrderOfTheRequests) {
  for (uint64_t number = 0; number < 4; ++number) EXPECT_EQ(buffer_.addRequest(true), number);
  reply(2);
  EXPECT_THAT(due(), IsEmpty());
  reply(1);
  EXPECT_THAT(due(), IsEmpty());
  reply(0);
  EXPECT_THAT(due(), ElementsAre(0, 1, 2));
  reply(3);
  EXPECT_THAT(due(), ElementsAre(3));
  EXPECT_THAT(due(), IsEmpty());
}

TEST_F(ReplyReorderBufferTest, KnowsRequestsByTheirSerials) {
  for (int i = 0; i < 3; ++i) buffer_.addRequest(false);
  // The second one never goes to the interpreter.
  buffer_.passOn(0);
  buffer_.passOn(2);
  EXPECT_EQ(*buffer_.numberOf(0), 0u);
  EXPECT_EQ(*buffer_.numberOf(1), 2u);
  EXPECT_FALSE(buffer_.numberOf(2).ok());
}

TEST_F(ReplyReorderBufferTest, FlushesWithAReplyThatIsWaitedFor) {
  for (bool awaited : {false, false, true, false}) buffer_.addRequest(awaited);
  for (uint64_t number = 0; number < 4; ++number) reply(number);
  EXPECT_THAT(due(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(flushed_, ElementsAre(2));
}

TEST_F(ReplyReorderBufferTest, KeepsBackNoMoreThanItMay) {
  uint64_t most = ReplyReorderBuffer::kMaxUnsent;
  for (uint64_t number = 0; number < 2 * most + 1; ++number) {
    buffer_.addRequest(false);
    reply(number);
  }
  EXPECT_EQ(due().size(), 2 * most + 1);
  EXPECT_THAT(flushed_, ElementsAre(most - 1, 2 * most - 1));
}

}  // namespace
}  // namespace splicehost::remote
