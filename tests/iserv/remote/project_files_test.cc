#include "iserv/remote/project_files.h"

#include <capnp/serialize.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ProjectFilesTest : public ::testing::Test {
 protected:
  ProjectFilesTest() { selection_.root = directory_.path(); }

  // The names in the tree, directories with a slash at their end.
  std::vector<std::string> names() {
    auto tree = describeProject(selection_, files_);
    if (!tree) return {tree.error().message};
    std::vector<std::string> all;
    list(tree->digest, "", all);
    return all;
  }

  void list(const linker::ContentDigest& digest, const std::string& below, std::vector<std::string>& all) {
    auto piece = files_.read(digest, 0);
    if (!piece) return all.push_back(piece.error().message);
    auto words = kj::heapArray<capnp::word>(piece->bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), piece->bytes.data(), piece->bytes.size());
    capnp::FlatArrayMessageReader reader(words);
    for (auto entry : reader.getRoot<schema::Directory>().getEntries()) {
      auto name = entry.getName().asChars();
      std::string path = below + std::string(name.begin(), name.size());
      if (entry.isDirectory()) {
        all.push_back(path + "/");
        linker::ContentDigest inner;
        auto sha256 = entry.getDirectory().getSha256();
        std::copy(sha256.begin(), sha256.end(), inner.bytes.begin());
        list(inner, path + "/", all);
      } else {
        all.push_back(entry.isLink() ? path + "@" : path);
      }
    }
  }

  testing::TemporaryDirectory directory_;
  linker::DigestCache digests_;
  HostFiles files_{digests_};
  ProjectSelection selection_;
};

TEST_F(ProjectFilesTest, AreThoseBelowTheRoot) {
  directory_.write("b.txt", "b");
  directory_.write("a.txt", "a");
  std::filesystem::create_directory(directory_.path() / "data");
  directory_.write("data/poem.txt", "poem");
  std::filesystem::create_symlink("a.txt", directory_.path() / "link");
  EXPECT_THAT(names(), ElementsAre("a.txt", "b.txt", "data/", "data/poem.txt", "link@"));
}

TEST_F(ProjectFilesTest, LeaveOutWhatIsExcludedOrTooLarge) {
  directory_.write("M.o", "object");
  directory_.write("M.hs", "module");
  std::filesystem::create_directory(directory_.path() / "data");
  directory_.write("data/M.o", "object");
  directory_.write("data/large", std::string(100, 'x'));
  selection_.excluded = {"data/M.*", "M.hs"};
  selection_.maxFileBytes = 99;
  EXPECT_THAT(names(), ElementsAre("M.o", "data/"));
}

TEST_F(ProjectFilesTest, AreNotTooMany) {
  directory_.write("a", "a");
  directory_.write("b", "b");
  selection_.maxFiles = 1;
  EXPECT_THAT(names(), ElementsAre(HasSubstr("more than 1 files")));
  selection_.maxFiles = 10;
  selection_.maxTotalBytes = 1;
  EXPECT_THAT(names(), ElementsAre(HasSubstr("exclude some")));
}

TEST_F(ProjectFilesTest, AreTheSameTreeIfTheyAreTheSame) {
  directory_.write("a", "a");
  auto one = describeProject(selection_, files_);
  auto two = describeProject(selection_, files_);
  EXPECT_EQ(one->digest, two->digest);
  directory_.write("a", "b");
  EXPECT_NE(describeProject(selection_, files_)->digest, one->digest);
}

TEST_F(ProjectFilesTest, ThatAreMissingThereAreExplained) {
  testing::TemporaryDirectory elsewhere;
  std::string path = elsewhere.write("x", "x");
  auto explain = [&](const std::string& file) {
    return explainMissingFile(file + ": openFile: does not exist (No such file or directory)", selection_,
                              directory_.path());
  };
  EXPECT_THAT(explain(path), HasSubstr("--root"));
  EXPECT_EQ(explain("nothing"), "");
  directory_.write("large", "x");
  EXPECT_THAT(explain("large"), HasSubstr("--exclude"));
  selection_.maxFileBytes = 0;
  EXPECT_THAT(explain("large"), HasSubstr("--max-file"));
  EXPECT_EQ(explainMissingFile("some other trouble", selection_, directory_.path()), "");
}

}  // namespace
}  // namespace splicehost::remote
