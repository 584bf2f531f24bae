#include "linker/object_check.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "linker/archive.h"
#include "test_inputs.h"

namespace splicehost::linker {
namespace {

using test::Bytes;

std::string archiveProblem(const std::string& path) {
  Status checked = checkLoadableArchive(path);
  return checked ? "none" : checked.error().message;
}

std::string objectProblem(const std::string& path) {
  Status checked = checkLoadableObject(path);
  return checked ? "none" : checked.error().message;
}

// Where a member's content starts in an archive.
size_t contentOffset(const Bytes& archive, std::string_view name) {
  const std::vector<ArchiveMember> members = *readArchive(archive);
  for (const ArchiveMember& member : members) {
    if (member.name == name) return static_cast<size_t>(member.data.data() - archive.data());
  }
  return 0;
}

class ObjectCheck : public testing::Test {
 protected:
  ObjectCheck() {
    directory_.write("good.o", test::sampleObject());
    directory_.write("notes.txt", "not an object");
  }

  test::TemporaryDirectory directory_;
};

TEST_F(ObjectCheck, AcceptsSoundFiles) {
  EXPECT_EQ(objectProblem(directory_.file("good.o")), "none");
  EXPECT_EQ(archiveProblem(directory_.archive("rcs", "libx.a", "good.o notes.txt")), "none");
  EXPECT_EQ(archiveProblem(directory_.archive("rcsT", "thin.a", "good.o")), "none");
  EXPECT_EQ(archiveProblem(directory_.write("empty.a", "!<arch>\n")), "none");
}

TEST_F(ObjectCheck, SaysWhenAFileIsOfTheOtherKind) {
  const std::string archive = directory_.archive("rcs", "libx.a", "good.o");
  EXPECT_EQ(objectProblem(archive), "object " + archive + ": this is an ar archive, not a relocatable object");
  EXPECT_EQ(archiveProblem(directory_.file("good.o")), "archive " + directory_.file("good.o") +
                                                           ": this is a relocatable object (ET_REL) for " +
                                                           std::string(machineName(kHostMachine)) + ", not an archive");
  const std::string script = directory_.write("libc.a", "/* GNU ld script */\nGROUP ( x.a )\n");
  EXPECT_EQ(archiveProblem(script), "archive " + script + ": this is a linker script, not an archive");
  const std::string missing = directory_.file("missing.o");
  EXPECT_EQ(objectProblem(missing), "object " + missing + ": cannot open the file: No such file or directory");
  ASSERT_EQ(mkfifo(directory_.file("fifo.a").c_str(), 0600), 0);
  EXPECT_EQ(archiveProblem(directory_.file("fifo.a")),
            "archive " + directory_.file("fifo.a") + ": this is not a regular file");
}

TEST_F(ObjectCheck, NamesMemberOffsetAndSection) {
  directory_.write("Foo.o", test::sampleObject());
  Bytes archive = test::readFile(directory_.archive("rcs", "libx.a", "good.o Foo.o"));
  const size_t start = contentOffset(archive, "Foo.o");
  Bytes object = test::sampleObject();
  test::changeSection(object, ".text", [&](Elf64_Shdr& header) {
    header.sh_offset = object.size() - 8;
    header.sh_size = 96;
  });
  std::copy(object.begin(), object.end(), archive.begin() + start);
  const std::string path = directory_.write("damaged.a", archive);
  EXPECT_EQ(archiveProblem(path), "archive " + path + ", member Foo.o (offset " + std::to_string(start - 60) +
                                      "): section 1 (.text) reaches 88 bytes past the end");
}

TEST_F(ObjectCheck, AnObjectByNameHasToBeOne) {
  directory_.write("bitcode.o", "BC\xC0\xDE");
  const std::string path = directory_.archive("rcS", "libx.a", "bitcode.o");
  EXPECT_EQ(archiveProblem(path), "archive " + path +
                                      ", member bitcode.o (offset 8): this is LLVM bitcode, not a "
                                      "relocatable object");
  directory_.write("empty.o", "");
  const std::string other = directory_.archive("rcS", "liby.a", "empty.o");
  EXPECT_EQ(archiveProblem(other), "archive " + other +
                                       ", member empty.o (offset 8): this is an empty file, not a "
                                       "relocatable object");
}

TEST_F(ObjectCheck, ChecksContents) {
  Bytes object = test::sampleObject();
  test::changeEntry<Elf64_Rela>(
      object, ".rela.text", [](const Elf64_Rela&) { return true; },
      [](Elf64_Rela& relocation) { relocation.r_offset = ~0ull; });
  directory_.write("bad.o", object);
  const std::string path = directory_.archive("rcs", "libx.a", "good.o bad.o");
  EXPECT_NE(archiveProblem(path).find("relocation 0 (type "), std::string::npos);
  EXPECT_NE(objectProblem(directory_.file("bad.o")).find("relocation 0 (type "), std::string::npos);
}

TEST_F(ObjectCheck, PassesOverWhatTheRtsPassesOver) {
  Bytes shared = test::sampleObject();
  test::changeHeader(shared, [](Elf64_Ehdr& header) { header.e_type = ET_DYN; });
  directory_.write("inner.so", shared);
  EXPECT_EQ(archiveProblem(directory_.archive("rcs", "inner.a", "inner.so")), "none");
  EXPECT_EQ(archiveProblem(directory_.archive("rcsT", "thin.a", "notes.txt")), "none");
}

TEST_F(ObjectCheck, LooksUpTheMembersOfAThinArchive) {
  directory_.write("below/good.o", test::sampleObject());
  const std::string path = directory_.archive("rcsT", "thin.a", "below/good.o");
  EXPECT_EQ(archiveProblem(path), "none");

  Bytes longer = test::sampleObject();
  longer.resize(longer.size() + 10);
  const std::string member = directory_.write("below/good.o", longer);
  const std::string context = "archive " + path + ", member below/good.o (offset ";
  std::string problem = archiveProblem(path);
  EXPECT_TRUE(problem.starts_with(context)) << problem;
  EXPECT_TRUE(problem.ends_with("its file " + member + ": has " + std::to_string(longer.size()) +
                                " bytes, but the archive says " + std::to_string(longer.size() - 10)))
      << problem;

  std::filesystem::remove(member);
  problem = archiveProblem(path);
  EXPECT_TRUE(problem.starts_with(context)) << problem;
  EXPECT_TRUE(problem.ends_with("its file " + member + ": cannot open the file: No such file or directory")) << problem;
}

TEST_F(ObjectCheck, AcceptsGhcsLibraries) {
  // Those of the GHC that is in the path; only some, because a GHC has a gigabyte of them.
  char directory[4096] = "";
  {
    const std::unique_ptr<FILE, int (*)(FILE*)> ghc(popen("ghc --print-libdir 2>/dev/null", "r"), &pclose);
    if (!ghc || std::fgets(directory, sizeof directory, ghc.get()) == nullptr) GTEST_SKIP() << "there is no ghc here";
  }
  constexpr std::uintmax_t kLargest = 50'000'000;
  const std::string root(directory, std::strcspn(directory, "\n"));
  int archives = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".a" || entry.file_size() > kLargest) continue;
    EXPECT_EQ(archiveProblem(entry.path()), "none");
    ++archives;
  }
  EXPECT_GT(archives, 0);
}

}  // namespace
}  // namespace splicehost::linker
