#include "iserv/broker/conditions.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/iserv/temporary_directory.h"

namespace splicehost::broker {
namespace {

class ConditionsTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_.path() / name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  LoadConditions::File at(const std::string& name, bool unsettled = false) const {
    LoadConditions::File file{path(name), linker::signatureOfAny(path(name)), unsettled};
    if (auto digest = linker::digestFile(file.path); unsettled && digest) file.digest = *digest;
    return file;
  }
  Conditions::Own own(const std::string& name) const {
    return {path(name), linker::signatureOfAny(path(name)), *linker::digestFile(path(name))};
  }
  Conditions::Own mapped(const std::string& name) const {
    Conditions::Own file = own(name);
    file.mapped = std::make_shared<const linker::OpenFile>(std::move(*linker::OpenFile::open(file.path)));
    return file;
  }
  static std::string changed(Conditions& conditions) {
    auto change = conditions.firstChange();
    return change ? std::to_string(change->depth) + " " + std::filesystem::path(change->path).filename().string() : "";
  }

  testing::TemporaryDirectory directory_;
};

TEST_F(ConditionsTest, FilesStayAsTheyAre) {
  write("a", "1");
  write("b", "1");
  Conditions conditions;
  conditions.add(0, {{at("a"), at("absent")}, {}, {}});
  conditions.add(3, {{at("b")}, {}, {}});
  EXPECT_EQ(changed(conditions), "");
  write("b", "22");
  EXPECT_EQ(changed(conditions), "3 b");
  write("absent", "");
  EXPECT_EQ(changed(conditions), "0 absent");
}

TEST_F(ConditionsTest, AFileThatWasReadMayBeReplacedButNotWrittenTo) {
  write("a", "1");
  Conditions conditions;
  conditions.addOwn(2, own("a"));
  std::filesystem::rename(write("new", "22"), path("a"));
  EXPECT_EQ(changed(conditions), "");
  conditions.addOwn(3, own("a"));
  write("a", "333");
  EXPECT_EQ(changed(conditions), "3 a");
}

TEST_F(ConditionsTest, AFileThatIsMappedMayBeReplacedButNotWrittenTo) {
  write("a", "1");
  Conditions conditions;
  conditions.addOwn(2, mapped("a"));
  std::filesystem::rename(write("new", "1"), path("a"));
  EXPECT_EQ(changed(conditions), "");
}

TEST_F(ConditionsTest, WhatWasWrittenToAFileThatIsMappedIsSeenWhenAnotherIsInItsPlace) {
  write("a", "1");
  Conditions conditions;
  Conditions::Own file = mapped("a");
  conditions.addOwn(2, file);
  write("a", "2");
  timespec asBefore[] = {{0, UTIME_OMIT},
                         {file.signature.mtimeNs / 1'000'000'000, file.signature.mtimeNs % 1'000'000'000}};
  ASSERT_EQ(utimensat(AT_FDCWD, path("a").c_str(), asBefore, 0), 0);
  std::filesystem::rename(write("new", "1"), path("a"));
  EXPECT_EQ(changed(conditions), "2 a");
}

TEST_F(ConditionsTest, ASignatureIsNotEnoughForAFileThatIsYoung) {
  write("a", "1");
  Conditions conditions;
  auto file = at("a", true);
  conditions.add(1, {{file}, {}, {}});
  EXPECT_EQ(changed(conditions), "");
  Conditions other;
  file.digest->bytes[0] ^= 1;
  other.add(1, {{file}, {}, {}});
  EXPECT_EQ(changed(other), "1 a");
}

TEST_F(ConditionsTest, OfHardLinksTheOneThatTheKernelShowsCounts) {
  mkdir(path("one").c_str(), 0700);
  mkdir(path("two").c_str(), 0700);
  write("one/a", "1");
  std::filesystem::create_hard_link(path("one/a"), path("two/a"));
  std::filesystem::create_directory_symlink(path("one"), path("current"));
  Conditions conditions;
  auto file = at("current/a");
  file.resolved = path("one/a");
  conditions.add(1, {{file}, {}, {}});
  EXPECT_EQ(changed(conditions), "");
  std::filesystem::remove(path("current"));
  std::filesystem::create_directory_symlink(path("two"), path("current"));
  EXPECT_EQ(changed(conditions), "1 a");
}

TEST_F(ConditionsTest, WhatWasSearchedForMustNotAppear) {
  mkdir(path("first").c_str(), 0700);
  mkdir(path("last").c_str(), 0700);
  write("last/liba.so", "1");
  Conditions conditions;
  conditions.add(1, {{}, {at("first", true)}, {"libz.so"}});
  conditions.add(2, {{at("last/liba.so")}, {at("first", true), at("last", true)}, {"liba.so"}});
  EXPECT_EQ(changed(conditions), "");
  write("first/other.so", "");
  write("last/other.so", "");
  EXPECT_EQ(changed(conditions), "");
  // It leads nowhere; who knows when that ends.
  std::filesystem::create_symlink("nowhere", path("first/liba.so"));
  EXPECT_EQ(changed(conditions), "2 liba.so");
  std::filesystem::remove(path("first/liba.so"));
  EXPECT_EQ(changed(conditions), "");
  write("first/libz.so", "");
  EXPECT_EQ(changed(conditions), "1 libz.so");
}

TEST_F(ConditionsTest, AMissingDirectoryMustNotAppear) {
  Conditions conditions;
  conditions.add(0, {{}, {at("directory")}, {"liba.so"}});
  EXPECT_EQ(changed(conditions), "");
  mkdir(path("directory").c_str(), 0700);
  EXPECT_EQ(changed(conditions), "0 directory");
}

}  // namespace
}  // namespace splicehost::broker
