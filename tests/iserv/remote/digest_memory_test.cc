#include "iserv/remote/digest_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::remote {
namespace {

class DigestMemoryTest : public ::testing::Test {
 protected:
  // A file whose times are long past.
  std::string settled(const std::string& name, const std::string& text) { return directory_.write(name, text); }
  std::string memory() { return directory_.path() / "digests"; }

  testing::TemporaryDirectory directory_;
  linker::FileSignature signature_{1, 2, 3, 4, 5, 6};
  linker::ContentDigest digest_{{7, 8, 9}};
};

TEST_F(DigestMemoryTest, RemembersFromOneToTheNext) {
  { DigestMemory(memory()).note(signature_, digest_, linker::systemClock()); }
  EXPECT_EQ(DigestMemory(memory()).cache().find(signature_), digest_);
  linker::FileSignature other = signature_;
  other.ctimeNs = 6;
  EXPECT_EQ(DigestMemory(memory()).cache().find(other), std::nullopt);
}

TEST_F(DigestMemoryTest, DoesNotTrustAFileThatCanChangeAndKeepItsSignature) {
  linker::FileSignature young = signature_;
  young.ctimeNs = linker::systemClock();
  DigestMemory remembered(memory());
  remembered.note(young, digest_, linker::systemClock());
  EXPECT_EQ(remembered.cache().find(young), std::nullopt);
}

TEST_F(DigestMemoryTest, DoesNotTrustAnotherMountOrKernel) {
  { DigestMemory(memory()).note(signature_, digest_, linker::systemClock()); }
  linker::FileSignature remounted = signature_;
  remounted.mount = 7;
  EXPECT_EQ(DigestMemory(memory()).cache().find(remounted), std::nullopt);
  // Numbers of mounts begin anew when the machine starts: the first thing after the mark says which start it was.
  std::fstream file(memory(), std::ios::in | std::ios::out);
  file.seekp(8);
  file << "00000000";
  file.close();
  EXPECT_EQ(DigestMemory(memory()).cache().find(signature_), std::nullopt);
}

TEST_F(DigestMemoryTest, PassesOverDamage) {
  { DigestMemory(memory()).note(signature_, digest_, linker::systemClock()); }
  std::fstream file(memory(), std::ios::in | std::ios::out);
  file.seekp(50);
  file << "?";
  file.close();
  EXPECT_EQ(DigestMemory(memory()).cache().find(signature_), std::nullopt);
  // A record that was cut short makes what follows it unreadable, so the file is begun anew.
  std::filesystem::resize_file(memory(), std::filesystem::file_size(memory()) - 3);
  { DigestMemory(memory()).note(signature_, digest_, linker::systemClock()); }
  EXPECT_EQ(DigestMemory(memory()).cache().find(signature_), digest_);
}

TEST_F(DigestMemoryTest, DoesWithoutAFile) {
  DigestMemory remembered("/nothing/here");
  remembered.note(signature_, digest_, linker::systemClock());
  EXPECT_EQ(remembered.cache().find(signature_), digest_);
}

}  // namespace
}  // namespace splicehost::remote
