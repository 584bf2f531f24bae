#include "linker/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <utility>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

std::string text(const MappedFile& file) {
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

TEST(MappedFile, HoldsTheContent) {
  const test::TemporaryDirectory directory;
  Result<MappedFile> file = MappedFile::open(directory.write("file", "content"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(text(*file), "content");
}

TEST(MappedFile, AnEmptyFileIsEmpty) {
  const test::TemporaryDirectory directory;
  Result<MappedFile> file = MappedFile::open(directory.write("file", ""));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, MovesWithoutMovingTheBytes) {
  const test::TemporaryDirectory directory;
  MappedFile first = *MappedFile::open(directory.write("first", "first"));
  const std::byte* start = first.bytes().data();
  MappedFile second = std::move(first);
  EXPECT_EQ(second.bytes().data(), start);
  MappedFile third = *MappedFile::open(directory.write("third", "third"));
  third = std::move(second);
  EXPECT_EQ(text(third), "first");
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const test::TemporaryDirectory directory;
  EXPECT_EQ(MappedFile::open(directory.path()).error().message, "this is a directory, not a file");
  ASSERT_EQ(mkfifo(directory.file("fifo").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(directory.file("fifo")).error().message, "this is not a regular file");
  EXPECT_EQ(MappedFile::open("/dev/null").error().message, "this is not a regular file");
  EXPECT_EQ(MappedFile::open(directory.file("missing")).error().message,
            "cannot open the file: No such file or directory");
}

}  // namespace
}  // namespace splicehost::linker
