// What the schema says of GHC's messages.

#include "protocol/message_layout.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace splicehost {
namespace {

using schema::Reply;
using schema::Request;

// Before all others, so that the threads are the first that ask.
TEST(Layouts, AreTheSameToAllThreads) {
  constexpr size_t kThreads = 4;
  size_t count = capnp::Schema::from<Request>().getUnionFields().size();
  std::vector<std::vector<const FieldLayout*>> found(kThreads);
  std::vector<std::thread> threads;
  for (auto& each : found) {
    threads.emplace_back([&] {
      for (size_t which = 0; which < count; ++which) each.push_back(&layoutOf(static_cast<Request::Which>(which)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  readAllLayouts();
  for (const auto& each : found) EXPECT_EQ(each, found[0]);
  EXPECT_EQ(std::set(found[0].begin(), found[0].end()).size(), count);
}

TEST(RequestKind, IsThereForEachRequest) {
  std::set<std::string_view> names;
  uint32_t count = capnp::Schema::from<Request>().getUnionFields().size();
  for (uint32_t which = 0; which < count; ++which) {
    const RequestKind& kind = kindOf(static_cast<Request::Which>(which));
    names.insert(kind.name);
    // Where the answer can hold one of several things, the request says which.
    const FieldLayout& reply = layoutOf(kind.reply);
    bool hasStatus = kind.reply == Reply::EVAL_STATUS || kind.reply == Reply::EVAL_UNIT ||
                     kind.reply == Reply::EVAL_STRING || kind.reply == Reply::Q_RESULT;
    EXPECT_EQ(!kind.value.empty(), hasStatus) << kind.name << ", answered by " << reply.name;
    EXPECT_TRUE(kind.evaluated || (!kind.asks && !kind.statement)) << kind.name;
  }
  EXPECT_EQ(names.size(), count);
}

TEST(RequestKind, SaysWhatAnnotationsSay) {
  const RequestKind& splice = kindOf(Request::RUN_TH);
  EXPECT_EQ(splice.name, "runTh");
  EXPECT_EQ(splice.reply, Reply::Q_RESULT);
  EXPECT_EQ(splice.value, "done");
  EXPECT_TRUE(splice.evaluated && splice.asks && !splice.statement);
  const RequestKind& statement = kindOf(Request::EVAL_STMT);
  EXPECT_EQ(statement.value, "references");
  EXPECT_TRUE(statement.evaluated && statement.statement && !statement.asks);
  EXPECT_EQ(kindOf(Request::SEQ).value, "none");
  const RequestKind& archive = kindOf(Request::LOAD_ARCHIVE);
  EXPECT_EQ(archive.reply, Reply::DONE);
  EXPECT_FALSE(archive.evaluated || archive.statement || archive.asks);
}

TEST(StructLayout, AlternativesAreOneConstructor) {
  const StructLayout& result = *layoutOf(Reply::EVAL_UNIT).structure;
  ASSERT_EQ(result.constructors.size(), 2u);
  EXPECT_EQ(result.constructors[0].front().name, "exception");
  EXPECT_EQ(result.constructors[1].size(), 3u);
  const StructLayout& code = *layoutOf(Reply::Q_RESULT).structure;
  ASSERT_EQ(code.constructors.size(), 3u);
  EXPECT_EQ(code.constructors[0].size(), 2u);
  EXPECT_EQ(code.member(schema::QResult::NONE).name, "none");
}

TEST(StructLayout, KnowsHowSmallAListIs) {
  const StructLayout& centres = *layoutOf(Request::MK_COST_CENTRES).structure;
  EXPECT_EQ(centres.fields[1].elementSize, 16u);
  const StructLayout& call = *layoutOf(Request::PREP_FFI).structure;
  EXPECT_EQ(call.fields[1].elementSize, 1u);
  EXPECT_EQ(call.fields[1].enumerants, 12);
}

}  // namespace
}  // namespace splicehost
