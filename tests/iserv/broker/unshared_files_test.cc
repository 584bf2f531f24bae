#include "iserv/broker/unshared_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/iserv/broker/operations.h"

namespace splicehost::broker {
namespace {

using Verdict = UnsharedFiles::Verdict;

UnsharedFiles::Entry entry(const DoneOperation& done) {
  return {done.operation, done.digest, done.signature.size, {}, "it changes threads"};
}

AskedOperation asked(const DoneOperation& done, bool isRead) {
  AskedOperation result = testing::askedFor({done}).front();
  if (isRead) result.digest = done.digest;
  return result;
}

TEST(UnsharedFiles, KnowsALibraryByItsContent) {
  UnsharedFiles files;
  files.add(entry(testing::archive("/a/libx.a", 1)));
  EXPECT_EQ(files.judge(asked(testing::archive("/b/liby.a", 1), true)), Verdict::kUnshared);
  EXPECT_EQ(files.judge(asked(testing::archive("/a/libx.a", 2), true)), Verdict::kShared);
  EXPECT_EQ(files.judge(asked(testing::object("/a/libx.a", 1), true)), Verdict::kShared);
}

TEST(UnsharedFiles, AFileOfThatSizeHasToBeRead) {
  UnsharedFiles files;
  files.add(entry(testing::archive("/a/libx.a", 1)));
  AskedOperation other = asked(testing::archive("/a/libx.a", 2), false);
  EXPECT_EQ(files.judge(other), Verdict::kUndecided);
  other.signature->size += 1;
  EXPECT_EQ(files.judge(other), Verdict::kShared);
  other.signature.reset();
  EXPECT_EQ(files.judge(other), Verdict::kShared);
}

TEST(UnsharedFiles, KnowsByNameWhatHasNoPath) {
  UnsharedFiles files;
  files.add(entry(testing::named("libx.so")));
  EXPECT_EQ(files.judge(asked(testing::named("libx.so"), false)), Verdict::kUnshared);
  EXPECT_EQ(files.judge(asked(testing::named("liby.so"), false)), Verdict::kShared);
}

TEST(UnsharedFiles, ADependencyThatChangesMayHaveBeenTheReason) {
  std::string path = ::testing::TempDir() + "unshared_files_test." + std::to_string(getpid());
  std::ofstream(path) << "one";
  UnsharedFiles::Entry known = entry(testing::named("libx.so"));
  known.dependencies.push_back({path, linker::signatureOfAny(path)});
  UnsharedFiles files;
  files.add(known);
  EXPECT_EQ(files.judge(asked(testing::named("libx.so"), false)), Verdict::kUnshared);
  std::ofstream(path) << "another";
  EXPECT_EQ(files.judge(asked(testing::named("libx.so"), false)), Verdict::kShared);
  unlink(path.c_str());
  EXPECT_EQ(files.judge(asked(testing::named("libx.so"), false)), Verdict::kShared);
}

TEST(UnsharedFiles, SaysEachOnce) {
  UnsharedFiles files;
  files.add(entry(testing::archive("/a/libx.a", 1)));
  files.add(entry(testing::archive("/b/libx.a", 1)));
  ASSERT_EQ(files.all().size(), 1u);
  EXPECT_EQ(files.all()[0].operation.file, "/b/libx.a");
}

}  // namespace
}  // namespace splicehost::broker
