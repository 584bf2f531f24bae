// What a target asks the front end for, and what it does with what comes.

#include "iserv/remote/content_fetcher.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>

#include "protocol/text.h"
#include "tests/iserv/remote/content.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

using testing::digestOf;

class ContentFetcherTest : public ::testing::Test {
 protected:
  std::unique_ptr<ContentStore> openStore() {
    auto store = ContentStore::open(directory_.path() / "store", 1 << 30);
    if (!store) throw std::runtime_error(store.error().message);
    return std::move(*store);
  }
  static AnnouncedContent announced(const std::string& text, const std::string& name = "libHSlens.a") {
    return {digestOf(text), text.size(), name};
  }
  // A part that claims to be of the content `whole`.
  static Status take(ContentFetcher& fetcher, const std::string& whole, const std::string& part, bool last) {
    capnp::MallocMessageBuilder builder;
    auto message = builder.initRoot<schema::ContentPart>();
    auto digest = digestOf(whole);
    message.setSha256({digest.bytes.data(), digest.bytes.size()});
    message.setData(toData(part));
    message.setLast(last);
    return fetcher.take(message);
  }
  static std::string contentOf(const std::string* path) {
    if (path == nullptr) return "not here";
    std::ifstream file(*path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<ContentStore> store_ = openStore();
  ContentFetcher fetcher_{*store_};
};

TEST_F(ContentFetcherTest, AsksOnceForWhatItLacks) {
  ASSERT_TRUE(fetcher_.want(announced("lens")));
  ASSERT_TRUE(fetcher_.want(announced("lens", "another-name.a")));
  auto missing = fetcher_.takeMissing();
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].digest, digestOf("lens"));
  EXPECT_EQ(missing[0].offset, 0u);
  EXPECT_TRUE(fetcher_.takeMissing().empty());
  EXPECT_FALSE(fetcher_.awaitsOthers());
  EXPECT_EQ(fetcher_.find(digestOf("lens")), nullptr);

  ASSERT_TRUE(take(fetcher_, "lens", "le", false));
  EXPECT_EQ(fetcher_.find(digestOf("lens")), nullptr);
  ASSERT_TRUE(take(fetcher_, "lens", "ns", true));
  EXPECT_EQ(contentOf(fetcher_.find(digestOf("lens"))), "lens");
  EXPECT_TRUE(fetcher_.find(digestOf("lens"))->ends_with("/libHSlens.a"));
}

TEST_F(ContentFetcherTest, AsksForNothingThatTheStoreHas) {
  ASSERT_TRUE(fetcher_.want(announced("lens")));
  ASSERT_TRUE(take(fetcher_, "lens", "lens", true));
  auto store = openStore();
  ContentFetcher later(*store);
  ASSERT_TRUE(later.want(announced("lens")));
  EXPECT_TRUE(later.takeMissing().empty());
  EXPECT_EQ(contentOf(later.find(digestOf("lens"))), "lens");
}

TEST_F(ContentFetcherTest, AsksForTheRestOfWhatWasInterrupted) {
  {
    auto store = openStore();
    ContentFetcher interrupted(*store);
    ASSERT_TRUE(interrupted.want(announced("lens")));
    ASSERT_TRUE(take(interrupted, "lens", "len", false));
  }
  ASSERT_TRUE(fetcher_.want(announced("lens")));
  auto missing = fetcher_.takeMissing();
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].offset, 3u);
  ASSERT_TRUE(take(fetcher_, "lens", "s", true));
  EXPECT_EQ(contentOf(fetcher_.find(digestOf("lens"))), "lens");
}

TEST_F(ContentFetcherTest, AsksOnceMoreForWhatIsNotWhatItShouldBe) {
  ASSERT_TRUE(fetcher_.want(announced("lens")));
  fetcher_.takeMissing();
  ASSERT_TRUE(take(fetcher_, "lens", "evil", true));
  auto missing = fetcher_.takeMissing();
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].offset, 0u);
  Status again = take(fetcher_, "lens", "evil", true);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find("is not what was announced"), std::string::npos) << again.error().message;
}

TEST_F(ContentFetcherTest, RefusesWhatItHasNotAskedFor) {
  EXPECT_FALSE(take(fetcher_, "lens", "lens", true));
  ASSERT_TRUE(fetcher_.want(announced("lens")));
  EXPECT_FALSE(take(fetcher_, "other", "other", true));
}

TEST_F(ContentFetcherTest, WaitsForWhatSomebodyElseReceives) {
  auto store = openStore();
  ContentFetcher other(*store);
  ASSERT_TRUE(other.want(announced("lens")));
  ASSERT_TRUE(fetcher_.want(announced("lens")));
  EXPECT_TRUE(fetcher_.takeMissing().empty());
  EXPECT_TRUE(fetcher_.awaitsOthers());
  ASSERT_TRUE(fetcher_.lookForOthers());
  EXPECT_TRUE(fetcher_.awaitsOthers());

  ASSERT_TRUE(take(other, "lens", "lens", true));
  ASSERT_TRUE(fetcher_.lookForOthers());
  EXPECT_FALSE(fetcher_.awaitsOthers());
  EXPECT_EQ(contentOf(fetcher_.find(digestOf("lens"))), "lens");
  EXPECT_TRUE(fetcher_.takeMissing().empty());
}

TEST_F(ContentFetcherTest, GoesOnWhereSomebodyElseGaveUp) {
  {
    auto store = openStore();
    ContentFetcher other(*store);
    ASSERT_TRUE(other.want(announced("lens")));
    ASSERT_TRUE(take(other, "lens", "le", false));
    ASSERT_TRUE(fetcher_.want(announced("lens")));
  }
  ASSERT_TRUE(fetcher_.lookForOthers());
  EXPECT_FALSE(fetcher_.awaitsOthers());
  auto missing = fetcher_.takeMissing();
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].offset, 2u);
}

TEST(AnnouncedContents, HaveNamesOfFiles) {
  auto complaint = [](const std::string& name, const std::string& digest) {
    capnp::MallocMessageBuilder builder;
    auto content = builder.initRoot<schema::Content>();
    content.setSha256(toData(digest));
    content.setName(toData(name));
    auto read = readAnnounced(content);
    return read ? "" : read.error().message;
  };
  const std::string digest(32, 'd');
  for (const std::string& name : {std::string("libHSlens.a"), std::string(), std::string(255, 'x')}) {
    EXPECT_EQ(complaint(name, digest), "");
  }
  for (const std::string& name : {std::string("../x"), std::string("/x"), std::string("."), std::string(".."),
                                  std::string("a\0b", 3), std::string(256, 'x')}) {
    EXPECT_NE(complaint(name, digest).find("the front end names a file"), std::string::npos) << name;
  }
  EXPECT_NE(complaint("x", "short"), "");
}

}  // namespace
}  // namespace splicehost::remote
