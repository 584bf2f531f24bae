// The target's store: what is in it is what its name says, whatever happens.

#include "iserv/remote/content_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <utime.h>

#include <fstream>

#include "tests/iserv/remote/content.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

using testing::digestOf;

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ContentStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<ContentStore> open(uint64_t maxBytes = 1 << 30) {
    auto store = ContentStore::open(place_, maxBytes);
    if (!store) throw std::runtime_error(store.error().message);
    return std::move(*store);
  }
  void add(ContentStore& store, const std::string& text, const std::string& name) {
    auto arrival = store.expect(digestOf(text), text.size());
    ASSERT_TRUE(arrival.ok() && arrival->has_value());
    ASSERT_TRUE(store.append(**arrival, bytes(text)).ok());
    Status finished = store.finish(std::move(**arrival), name);
    ASSERT_TRUE(finished.ok()) << finished.error().message;
  }

  testing::TemporaryDirectory directory_;
  std::string place_ = directory_.path() / "store";
};

TEST_F(ContentStoreTest, HasWhatHasArrivedByItsName) {
  auto store = open();
  EXPECT_FALSE(store->find(digestOf("lens"), "libHSlens.a"));
  add(*store, "lens", "libHSlens.a");
  auto path = store->find(digestOf("lens"), "libHSlens.a");
  ASSERT_TRUE(path);
  EXPECT_TRUE(path->ends_with("/libHSlens.a"));
  EXPECT_EQ(contentOf(*path), "lens");
  // And by another, without a copy.
  auto other = open()->find(digestOf("lens"), "libother.a");
  ASSERT_TRUE(other);
  struct stat one, two;
  stat(path->c_str(), &one);
  stat(other->c_str(), &two);
  EXPECT_EQ(one.st_ino, two.st_ino);
}

TEST_F(ContentStoreTest, RefusesWhatIsNotWhatWasAnnounced) {
  auto store = open();
  auto arrival = store->expect(digestOf("good"), 4);
  ASSERT_TRUE(store->append(**arrival, bytes("evil")).ok());
  Status finished = store->finish(std::move(**arrival), "x.a");
  ASSERT_FALSE(finished.ok());
  EXPECT_NE(finished.error().message.find("x.a is not what was announced"), std::string::npos);
  EXPECT_FALSE(store->find(digestOf("good"), "x.a"));
  // Nothing of it is left to be resumed.
  EXPECT_EQ((*store->expect(digestOf("good"), 4))->offset(), 0u);
}

TEST_F(ContentStoreTest, RefusesMoreThanWasAnnounced) {
  auto store = open();
  auto arrival = store->expect(digestOf("good"), 4);
  EXPECT_FALSE(store->append(**arrival, bytes("goodness")).ok());
}

TEST_F(ContentStoreTest, ResumesWhatWasInterrupted) {
  {
    auto store = open();
    auto arrival = store->expect(digestOf("0123456789"), 10);
    ASSERT_TRUE(store->append(**arrival, bytes("01234")).ok());
  }
  auto store = open();
  auto arrival = store->expect(digestOf("0123456789"), 10);
  ASSERT_TRUE(arrival.ok() && arrival->has_value());
  EXPECT_EQ((*arrival)->offset(), 5u);
  ASSERT_TRUE(store->append(**arrival, bytes("56789")).ok());
  EXPECT_TRUE(store->finish(std::move(**arrival), "x").ok());
  EXPECT_TRUE(store->find(digestOf("0123456789"), "x"));
}

TEST_F(ContentStoreTest, IsFilledByOneAtATime) {
  auto one = open(), two = open();
  auto first = one->expect(digestOf("lens"), 4);
  ASSERT_TRUE(first.ok() && first->has_value());
  auto second = two->expect(digestOf("lens"), 4);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->has_value());
  ASSERT_TRUE(one->append(**first, bytes("lens")).ok());
  ASSERT_TRUE(one->finish(std::move(**first), "x").ok());
  EXPECT_TRUE(two->find(digestOf("lens"), "x"));
}

// As processes of the same id do, of containers that share a store.
TEST_F(ContentStoreTest, MakesATreeTwiceAtATime) {
  auto one = open(), two = open();
  auto first = one->beginTree(digestOf("tree")), second = two->beginTree(digestOf("tree"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(*first, *second);
  for (const std::string& place : {*first, *second}) std::ofstream(place + "/file") << "content";
  for (const auto& [store, made] : {std::pair(one.get(), *first), std::pair(two.get(), *second)}) {
    auto place = store->finishTree(digestOf("tree"), made);
    ASSERT_TRUE(place.ok()) << place.error().message;
    EXPECT_EQ(access((*place + "/file").c_str(), R_OK), 0);
  }
}

TEST_F(ContentStoreTest, NoticesDamage) {
  add(*open(), "lens", "x.a");
  std::string path = *open()->find(digestOf("lens"), "x.a");
  chmod(path.c_str(), 0600);
  std::ofstream(path) << "lent";
  EXPECT_FALSE(open()->find(digestOf("lens"), "x.a"));
  // It is gone, and can come again.
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  add(*open(), "lens", "x.a");
  EXPECT_TRUE(open()->find(digestOf("lens"), "x.a"));
}

TEST_F(ContentStoreTest, LetsGoOfWhatWasNotUsed) {
  auto store = open(100'000);
  std::string old(50'000, 'o'), recent(50'000, 'r');
  add(*store, old, "old");
  add(*store, recent, "recent");
  std::string entry = place_ + "/content/" + digestOf(old).hex();
  utimbuf long_ago = {1, 1};
  utime(entry.c_str(), &long_ago);
  store->makeRoom(20'000);
  EXPECT_FALSE(store->find(digestOf(old), "old"));
  EXPECT_TRUE(store->find(digestOf(recent), "recent"));
}

TEST_F(ContentStoreTest, IsNotForOthersToWriteTo) {
  open();
  chmod(place_.c_str(), 0777);
  auto store = ContentStore::open(place_, 1);
  ASSERT_FALSE(store.ok());
  EXPECT_NE(store.error().message.find("open to others"), std::string::npos);
}

}  // namespace
}  // namespace splicehost::remote
