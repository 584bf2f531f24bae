// What a load request comes to on another machine.

#include "iserv/remote/host_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "linker/archive.h"
#include "linker/mapped_file.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LinkerScripts, NameWhatIsToBeLoaded) {
  EXPECT_THAT(readLinkerScript("/* GNU ld script */\nINPUT(libc.so.6)"), ElementsAre("libc.so.6"));
  EXPECT_THAT(
      readLinkerScript("OUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/x86_64-linux-gnu/libc.so.6 "
                       "/usr/lib/x86_64-linux-gnu/libc_nonshared.a  AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )"),
      ElementsAre("/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_THAT(readLinkerScript("INPUT(-ltinfo, \"libncurses.so.6\")"), ElementsAre("libtinfo.so", "libncurses.so.6"));
  EXPECT_THAT(readLinkerScript("not a script"), IsEmpty());
  EXPECT_THAT(readLinkerScript("INPUT(libx.so"), ElementsAre("libx.so"));
  EXPECT_THAT(readLinkerScript("/* without an end"), IsEmpty());
}

TEST(SystemDirectories, AreThoseOfLibraries) {
  for (const char* directory : {"/lib", "/usr/lib", "/usr/lib/", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
                                "/usr/lib/gcc/x86_64-linux-gnu/12/../../../x86_64-linux-gnu", "/lib64"}) {
    EXPECT_TRUE(isSystemDirectory(directory)) << directory;
  }
  for (const char* directory : {"/usr/lib/ghc", "/usr/lib/haskell-packages/ghc/lib/x86_64-linux-ghc-9.0.2/lens",
                                "/home/me", "/usr/lib/ghc/base-4.15.1.0", "/nix/store/x/lib"}) {
    EXPECT_FALSE(isSystemDirectory(directory)) << directory;
  }
}

class HostFilesTest : public ::testing::Test {
 protected:
  std::string text(const linker::ContentDigest& digest, uint64_t offset = 0) {
    std::string all;
    for (;;) {
      auto piece = files_.read(digest, offset + all.size());
      if (!piece) return "error: " + piece.error().message;
      all.append(reinterpret_cast<const char*>(piece->bytes.data()), piece->bytes.size());
      if (piece->last) return all;
    }
  }

  testing::TemporaryDirectory directory_;
  linker::DigestCache digests_;
  HostFiles files_{digests_};
};

TEST_F(HostFilesTest, SendsFilesFromAnyOffset) {
  auto file = files_.file(directory_.write("file", "0123456789"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size, 10u);
  EXPECT_EQ(text(file->digest), "0123456789");
  EXPECT_EQ(text(file->digest, 4), "456789");
  EXPECT_EQ(text(file->digest, 10), "");
  EXPECT_NE(text(file->digest, 11).find("behind the end"), std::string::npos);
}

TEST_F(HostFilesTest, DoesNotSendAFileThatHasChanged) {
  auto file = files_.file(directory_.write("file", "before"));
  directory_.write("file", "after it was named");
  EXPECT_NE(text(file->digest).find("has changed since it was named"), std::string::npos);
}

TEST_F(HostFilesTest, SendsNothingThatWasNotNamed) {
  directory_.write("file", "abc");
  linker::ContentDigest digest = linker::DigestCache().contentOf(directory_.path() / "file").ok()
                                     ? linker::DigestCache().contentOf(directory_.path() / "file")->digest
                                     : linker::ContentDigest();
  EXPECT_NE(text(digest).find("was not named"), std::string::npos);
}

TEST_F(HostFilesTest, PutsTheMembersIntoAThinArchive) {
  directory_.write("short.o", "odd");
  directory_.write("a-name-that-is-longer-than-sixteen.o", "even");
  std::string names = "a-name-that-is-longer-than-sixteen.o/\n";
  if (names.size() % 2 != 0) names += "\n";
  auto header = [](std::string name, size_t size) {
    name.resize(48, ' ');
    std::string number = std::to_string(size);
    number.resize(10, ' ');
    return name + number + "`\n";
  };
  std::string thin = "!<thin>\n" + header("//", names.size()) + names + header("short.o/", 3) + header("/0", 4);
  auto source = files_.archive(directory_.write("libthin.a", thin));
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(source->name, "libthin.a");
  std::string whole = text(source->digest);
  auto members = linker::readArchive(std::as_bytes(std::span(whole)));
  ASSERT_TRUE(members.ok()) << members.error().message;
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[0].name, "short.o");
  EXPECT_EQ((*members)[0].data.size(), 3u);
  EXPECT_EQ((*members)[1].name, "a-name-that-is-longer-than-sixteen.o");
  EXPECT_FALSE((*members)[1].external);
}

TEST_F(HostFilesTest, FollowsALinkerScript) {
  std::string script = directory_.write("libboth.so", "INPUT(libnowhere.so.1 libelsewhere.so)");
  auto parts = files_.sharedObject(script);
  ASSERT_TRUE(parts.ok()) << parts.error().message;
  ASSERT_EQ(parts->size(), 2u);
  // Neither is here, so the target's loader is to find them.
  EXPECT_EQ((*parts)[0].path, "libnowhere.so.1");
  EXPECT_FALSE((*parts)[0].content);
}

TEST_F(HostFilesTest, SaysWhatIsNoSharedObject) {
  auto parts = files_.sharedObject(directory_.write("libx.so", "\177ELF and then nothing"));
  EXPECT_FALSE(parts.ok());
  EXPECT_FALSE(files_.sharedObject(directory_.write("liby.so", "hello")).ok());
}

TEST_F(HostFilesTest, LeavesNamesToTheLoader) {
  auto parts = files_.sharedObject("libgmp.so");
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(parts->back().path, "libgmp.so");
  EXPECT_FALSE(parts->back().content);
}

TEST(DynamicSections, AreReadFromRealFilesAndSurviveDamage) {
  auto self = linker::MappedFile::open("/proc/self/exe");
  ASSERT_TRUE(self.ok());
  auto dynamic = readDynamicSection(self->bytes(), "/x");
  ASSERT_TRUE(dynamic.ok()) << dynamic.error().message;
  EXPECT_THAT(dynamic->needed, ::testing::Contains("libc.so.6"));
  std::vector<std::byte> head(self->bytes().begin(), self->bytes().begin() + 4096);
  for (size_t at = 0; at < 1024; ++at) {
    auto damaged = head;
    damaged[at] ^= std::byte{0x5A};
    (void)readDynamicSection(damaged, "/x").ok();
  }
}

}  // namespace
}  // namespace splicehost::remote
