#include "linker/archive.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

using namespace std::string_literals;
using test::Bytes;
using test::toBytes;

// A member's 60-byte header.
std::string header(const std::string& name, const std::string& size) {
  char text[61];
  std::snprintf(text, sizeof text, "%-16s%-12s%-6s%-6s%-8s%-10s`\n", name.c_str(), "0", "0", "0", "644", size.c_str());
  return text;
}

std::string member(const std::string& name, const std::string& content) {
  return header(name, std::to_string(content.size())) + content + (content.size() % 2 == 1 ? "\n" : "");
}

std::string nameOf(const ArchiveMember& member) { return std::string(member.name); }

std::string contentOf(const ArchiveMember& member) {
  return std::string(reinterpret_cast<const char*>(member.data.data()), member.data.size());
}

std::string readingError(const std::string& archive) {
  const Bytes bytes = toBytes(archive);
  Result<std::vector<ArchiveMember>> members = readArchive(bytes);
  return members ? "none" : members.error().message;
}

TEST(Archive, ReadsWhatArWrites) {
  const test::TemporaryDirectory directory;
  directory.write("a.o", "first");
  directory.write("with space.o", "second");
  directory.write("a-name-of-more-than-sixteen-characters.o", "third!");
  directory.write("another-name-of-more-than-sixteen-characters.o", "");
  const Bytes bytes = test::readFile(directory.archive("rcs", "libx.a",
                                                       "a.o 'with space.o' a-name-of-more-than-sixteen-characters.o "
                                                       "another-name-of-more-than-sixteen-characters.o"));
  Result<std::vector<ArchiveMember>> members = readArchive(bytes);
  ASSERT_TRUE(members.ok()) << members.error().message;
  ASSERT_EQ(members->size(), 4u);
  EXPECT_EQ(nameOf((*members)[0]), "a.o");
  EXPECT_EQ(contentOf((*members)[0]), "first");
  EXPECT_EQ((*members)[0].size, 5u);
  EXPECT_FALSE((*members)[0].external);
  EXPECT_EQ(nameOf((*members)[1]), "with space.o");
  EXPECT_EQ(contentOf((*members)[1]), "second");
  EXPECT_EQ(nameOf((*members)[2]), "a-name-of-more-than-sixteen-characters.o");
  EXPECT_EQ(contentOf((*members)[2]), "third!");
  EXPECT_EQ(nameOf((*members)[3]), "another-name-of-more-than-sixteen-characters.o");
  EXPECT_EQ(contentOf((*members)[3]), "");
  for (const ArchiveMember& member : *members) EXPECT_EQ(bytes[member.offset + 58], std::byte{'`'});
}

TEST(Archive, ReadsThinArchives) {
  const test::TemporaryDirectory directory;
  directory.write("below/a.o", "first");
  directory.write("below/a-name-of-more-than-sixteen-characters.o", "second");
  const Bytes bytes =
      test::readFile(directory.archive("rcsT", "libx.a", "below/a.o below/a-name-of-more-than-sixteen-characters.o"));
  EXPECT_TRUE(ArchiveReader::open(bytes)->thin());
  Result<std::vector<ArchiveMember>> members = readArchive(bytes);
  ASSERT_TRUE(members.ok()) << members.error().message;
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ(nameOf((*members)[0]), "below/a.o");
  EXPECT_EQ((*members)[0].size, 5u);
  EXPECT_TRUE((*members)[0].external);
  EXPECT_TRUE((*members)[0].data.empty());
  EXPECT_EQ(nameOf((*members)[1]), "below/a-name-of-more-than-sixteen-characters.o");
  EXPECT_EQ((*members)[1].size, 6u);
}

TEST(Archive, ReadsBsdArchives) {
  const Bytes bytes = toBytes("!<arch>\n" + member("#1/20", "__.SYMDEF SORTED\0\0\0\0index!"s) +
                              member("#1/12", "long name.o\0content"s) + member("b.o", "x"));
  Result<std::vector<ArchiveMember>> members = readArchive(bytes);
  ASSERT_TRUE(members.ok()) << members.error().message;
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ(nameOf((*members)[0]), "long name.o");
  EXPECT_EQ(contentOf((*members)[0]), "content");
  EXPECT_EQ((*members)[0].size, 7u);
  EXPECT_EQ(nameOf((*members)[1]), "b.o");
  EXPECT_EQ(contentOf((*members)[1]), "x");
}

TEST(Archive, AcceptsAnEmptyArchiveAndPaddingAtTheEnd) {
  EXPECT_EQ(readingError("!<arch>\n"), "none");
  EXPECT_EQ(readingError("!<arch>\n" + member("a.o/", "ab") + "\n\n"), "none");
  EXPECT_EQ(readingError("!<arch>\n" + header("a.o/", "3") + "abc"), "none");
}

TEST(Archive, SaysWhatIsWrong) {
  EXPECT_EQ(readingError(""), "this is an empty file, not an archive");
  EXPECT_EQ(readingError("!<arc"), "this is a text file, not an archive");
  EXPECT_EQ(readingError("!<arch>\nsome text"),
            "offset 8: the archive ends inside a member's header, after 9 of its 60 bytes");
  EXPECT_EQ(readingError("!<arch>\n" + std::string(60, 'x')), "offset 8: no member header where one should be");
  EXPECT_EQ(readingError("!<arch>\n" + header("a.o/", "4") + "ab"),
            "offset 8: member 'a.o/' of 4 bytes reaches 2 bytes past the end");
  EXPECT_EQ(readingError("!<arch>\n" + header("a.o/", "99999999999")),
            "offset 8: no member header where one should be");  // the size displaces the end
  EXPECT_EQ(readingError("!<arch>\n" + header("a.o/", "4x") + "abcd"), "offset 8: a member's size is '4x        '");
  EXPECT_EQ(readingError("!<arch>\n" + header("a.o/", "") + "abcd"), "offset 8: a member's size is '          '");
  EXPECT_EQ(readingError("!<arch>\n" + header("a.o/", "-4") + "abcd"), "offset 8: a member's size is '-4        '");
  EXPECT_EQ(readingError("!<arch>\n" + member("/what/", "ab")), "offset 8: unknown special member '/what/'");
}

TEST(Archive, SaysWhatIsWrongWithALongName) {
  const std::string names = member("//", "first-long-name.o/\nsecond");
  EXPECT_EQ(readingError("!<arch>\n" + member("/0", "ab")),
            "offset 8: a long member name, but no table of names before it");
  EXPECT_EQ(readingError("!<arch>\n" + names + member("/0", "ab")), "none");
  EXPECT_EQ(readingError("!<arch>\n" + names + member("/3", "ab")),
            "offset 94: member name at 3 of the table of names, which is in the middle of a name");
  EXPECT_EQ(readingError("!<arch>\n" + names + member("/19", "ab")),
            "offset 94: member name at 19 of the table of names, where it has no end");
  EXPECT_EQ(readingError("!<arch>\n" + names + member("/25", "ab")),
            "offset 94: member name at '25' of a table of 25 bytes");
  EXPECT_EQ(readingError("!<arch>\n" + names + member("/999999999999999", "ab")),
            "offset 94: member name at '999999999999999' of a table of 25 bytes");
  EXPECT_EQ(readingError("!<arch>\n" + member("//", "/\n") + member("/0", "ab")),
            "offset 70: empty member name in the table of names");
  EXPECT_EQ(readingError("!<arch>\n" + names + names), "offset 94: a second table of member names");
}

TEST(Archive, SaysWhatIsWrongWithABsdName) {
  EXPECT_EQ(readingError("!<arch>\n" + member("#1/20", "abcd")),
            "offset 8: a BSD member name of 20 bytes in a member of 4");
  EXPECT_EQ(readingError("!<arch>\n" + member("#1/", "abcd")),
            "offset 8: the length of a BSD member name is '             '");
}

class DamagedArchive : public testing::TestWithParam<const char*> {
 protected:
  static Bytes make() {
    const test::TemporaryDirectory directory;
    directory.compile("a.o", test::kSource);
    directory.compile("a-name-of-more-than-sixteen-characters.o", "int b1 = 1;");
    directory.write("notes.txt", "not an object");
    return test::readFile(
        directory.archive(GetParam(), "libx.a", "a.o a-name-of-more-than-sixteen-characters.o notes.txt"));
  }
};

TEST_P(DamagedArchive, CutShortAnywhereIsAnErrorOrAShorterArchive) {
  const Bytes whole = make();
  const size_t members = readArchive(whole)->size();
  for (size_t size = 0; size < whole.size(); size += size < 256 ? 1 : 64) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    Result<std::vector<ArchiveMember>> read = readArchive(cut);
    EXPECT_TRUE(!read || read->size() < members) << size;
  }
}

TEST_P(DamagedArchive, ChangedAnywhereIsNeverReadOutOfBounds) {
  const Bytes whole = make();
  std::mt19937 random(4711);
  for (int round = 0; round < 3000; ++round) {
    Bytes changed = whole;
    for (int i = 0; i < 4; ++i) changed[random() % (i < 2 ? 128 : changed.size())] = std::byte(random() % 256);
    if (Result<std::vector<ArchiveMember>> read = readArchive(changed); read) {
      for (const ArchiveMember& member : *read) {
        if (member.external || member.data.empty()) continue;
        EXPECT_GE(member.data.data(), changed.data());
        EXPECT_LE(member.data.data() + member.data.size(), changed.data() + changed.size());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DamagedArchive, testing::Values("rcs", "rcsT"));

}  // namespace
}  // namespace splicehost::linker
