#include "iserv/broker/digests.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::broker {
namespace {

class DigestsTest : public ::testing::Test {
 protected:
  DigestsTest() { uv_loop_init(&loop_); }
  ~DigestsTest() override { EXPECT_EQ(uv_loop_close(&loop_), 0); }

  void ask(const std::string& path) {
    digests_.identify(path, [this, path](Result<FileContent> content) {
      answers_.emplace(path, content ? content->digest.hex() : "no: " + content.error().message);
    });
  }
  // Answers come from here.
  void work() { uv_run(&loop_, UV_RUN_DEFAULT); }

  splicehost::testing::TemporaryDirectory directory_;
  uv_loop_t loop_;
  Digests digests_{loop_};
  std::map<std::string, std::string> answers_;
};

TEST_F(DigestsTest, TellsContentsApart) {
  std::string lens = directory_.write("lens", "lens"), copy = directory_.write("copy", "lens"),
              aeson = directory_.write("aeson", "aeson");
  for (const std::string& path : {lens, copy, aeson}) ask(path);
  EXPECT_TRUE(answers_.empty());
  work();
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_EQ(answers_[lens], answers_[copy]);
  EXPECT_NE(answers_[lens], answers_[aeson]);
}

// More than are read at a time.
TEST_F(DigestsTest, AnswersAllThatWait) {
  for (size_t i = 0; i < 5 * Digests::kMostAtOnce; ++i) ask(directory_.write(std::to_string(i), "content"));
  work();
  EXPECT_EQ(answers_.size(), 5 * Digests::kMostAtOnce);
}

TEST_F(DigestsTest, SaysWhatCannotBeRead) {
  std::string missing = directory_.path() / "missing", huge = directory_.write("huge", "");
  std::filesystem::resize_file(huge, Digests::kMaxFile + 1);  // none of it is on the disk
  ask(missing);
  ask(huge);
  work();
  EXPECT_EQ(answers_[missing], "no: cannot examine " + missing + ": No such file or directory");
  EXPECT_EQ(answers_[huge], "no: " + huge + " is too large for a library");
}

}  // namespace
}  // namespace splicehost::broker
