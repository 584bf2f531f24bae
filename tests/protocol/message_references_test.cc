// Which numbers of a message name values of the interpreter's heap.

#include "protocol/message_references.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "protocol/message_layout.h"

namespace splicehost {
namespace {

template <typename Message>
std::vector<uint64_t> referencesOf(const std::function<void(typename Message::Builder)>& build) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<Message>();
  build(root);
  std::vector<uint64_t> found;
  forEachReference(root.asReader(), [&](uint64_t reference) { found.push_back(reference); });
  return found;
}

constexpr auto& inRequest = referencesOf<schema::Request>;
constexpr auto& inReply = referencesOf<schema::Reply>;
using Found = std::vector<uint64_t>;

TEST(References, OfARequestItself) {
  EXPECT_EQ(inRequest([](auto request) { request.setEvalIo(5); }), Found{5});
  EXPECT_EQ(inRequest([](auto request) { request.setMallocData({}); }), Found{});
  EXPECT_EQ(inRequest([](auto request) { request.setFreeFfi(5); }), Found{});
}

TEST(References, InLists) {
  auto build = [](schema::Request::Builder request) {
    auto finalizers = request.initRunModFinalizers();
    finalizers.setState(1);
    auto list = finalizers.initFinalizers(2);
    list.set(0, 2);
    list.set(1, 3);
  };
  EXPECT_EQ(inRequest(build), (Found{1, 2, 3}));
}

TEST(References, InNestedExpressions) {
  auto build = [](schema::Request::Builder request) {
    auto apply = request.initEvalStmt().initExpression().initApply();
    apply.initFunction().setThis(1);
    auto inner = apply.initArgument().initApply();
    inner.initFunction().setThis(2);
    inner.initArgument().setThis(3);
  };
  EXPECT_EQ(inRequest(build), (Found{1, 2, 3}));
}

TEST(References, OfBreakArrays) {
  EXPECT_EQ(inRequest([](auto request) { request.initEnableBreakpoint().setArray(4); }), Found{4});
  EXPECT_EQ(inRequest([](auto request) { request.initBreakpointStatus().setArray(4); }), Found{4});
  EXPECT_EQ(inRequest([](auto request) { request.initSetupBreakpoint().setArray(4); }), Found{4});
}

TEST(References, OfReplies) {
  EXPECT_EQ(inReply([](auto reply) { reply.initMaybePointer().setPointer(7); }), Found{7});
  EXPECT_EQ(inReply([](auto reply) { reply.initMaybePointer().setNothing(); }), Found{});
  auto stopped = [](schema::Reply::Builder reply) {
    auto stop = reply.initEvalStatus().initBreak();
    stop.setStack(1);
    stop.setResumeContext(2);
    stop.setCostCentreStack(3);
    stop.setIndex(4);
  };
  EXPECT_EQ(inReply(stopped), (Found{1, 2}));
}

}  // namespace
}  // namespace splicehost
