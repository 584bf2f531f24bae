// What the loading of shared objects depends on. Loading is for good, so each is loaded in a child.

#include "iserv/interpreter/loader_search.h"

#include <capnp/message.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <thread>

#include "protocol/text.h"
#include "tests/iserv/environment.h"
#include "tests/iserv/in_child.h"
#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

namespace fs = std::filesystem;

struct Described {
  std::set<std::string> files, directories, names;
};

Described read(schema::Conditions::Reader conditions) {
  Described described;
  for (auto file : conditions.getFiles()) described.files.insert(toString(file.getPath()));
  for (auto directory : conditions.getDirectories()) described.directories.insert(toString(directory.getPath()));
  for (auto name : conditions.getNames()) described.names.insert(toString(name));
  return described;
}

std::string listOf(const std::set<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : " ") + text;
  return list;
}

class LoaderSearchTest : public ::testing::Test {
 protected:
  LoaderSearchTest() {
    environment_.unset("LD_LIBRARY_PATH");
    fs::copy_file(NEEDED, needed_);
    fs::copy_file(NEEDING, needing_);
    settle();
  }

  // What is younger than a tick of the file system's clock may have been changed meanwhile.
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(150)); }

  using Look = std::function<std::string(const LoaderSearch&, const Described&)>;
  // Loads a file, and says what is seen then, or why it is not for sharing.
  std::string load(
      const std::string& file, const Look& look, const std::function<void()>& meanwhile = [] {}) {
    return testing::inChild([&]() -> std::string {
      LoaderSearch search(file, directory_.path());
      if (dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr && file.find('/') != file.npos) return dlerror();
      meanwhile();
      capnp::MallocMessageBuilder message;
      auto conditions = message.initRoot<schema::Conditions>();
      Status described = search.describe(conditions);
      return described ? look(search, read(conditions)) : described.error().message;
    });
  }

  testing::TemporaryDirectory directory_;
  testing::Environment environment_;
  const std::string needed_ = directory_.path() / "libneeded.so", needing_ = directory_.path() / "libneeding.so";
};

TEST(HaskellLibraries, HaveNamesOfTheirOwn) {
  EXPECT_TRUE(isHaskellLibrary("/usr/lib/libHSbase-4.15.1.0-ghc9.0.2.so"));
  EXPECT_TRUE(isHaskellLibrary("libHSx.so"));
  EXPECT_FALSE(isHaskellLibrary("/libHS/libz.so"));
  EXPECT_FALSE(isHaskellLibrary("libz.so"));
}

// It is known by its content, wherever it is.
TEST_F(LoaderSearchTest, NeedsNothingIfTheLibraryDoesNot) {
  EXPECT_EQ(load(needed_,
                 [](const LoaderSearch& search, const Described& found) -> std::string {
                   if (search.foundMore()) return "it has found more";
                   if (search.searchesNearby()) return "it has searched nearby";
                   return listOf(found.files) + listOf(found.directories) + listOf(found.names);
                 }),
            "");
}

TEST_F(LoaderSearchTest, FindsWhatTheLibraryNeeds) {
  EXPECT_EQ(load(needing_,
                 [&](const LoaderSearch& search, const Described& found) -> std::string {
                   if (!search.foundMore()) return "it has found nothing";
                   if (!search.searchesNearby()) return "it has not searched nearby";
                   if (!found.files.contains(needed_)) return "files: " + listOf(found.files);
                   if (found.files.contains(needing_)) return "the file itself counts";
                   if (!found.directories.contains(directory_.path())) return listOf(found.directories);
                   return found.names.contains("libneeded.so") ? "" : "names: " + listOf(found.names);
                 }),
            "");
}

TEST_F(LoaderSearchTest, DoesNotSearchForWhatIsThereAlready) {
  EXPECT_EQ(testing::inChild([&]() -> std::string {
              if (dlopen(needed_.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) return dlerror();
              LoaderSearch search(needing_, directory_.path());
              if (dlopen(needing_.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) return dlerror();
              return search.foundMore() ? "it has found more" : "";
            }),
            "");
}

TEST_F(LoaderSearchTest, CountsThePathIfItIsTold) {
  EXPECT_EQ(testing::inChild([&] {
              LoaderSearch search(needed_, directory_.path());
              search.countPath();
              dlopen(needed_.c_str(), RTLD_NOW | RTLD_LOCAL);
              capnp::MallocMessageBuilder message;
              auto conditions = message.initRoot<schema::Conditions>();
              Status described = search.describe(conditions);
              return described ? listOf(read(conditions).files) : described.error().message;
            }),
            needed_);
}

// A name leads to what may appear anywhere where the loader looks.
TEST_F(LoaderSearchTest, TellsWhereANameWasSearchedFor) {
  environment_.set("LD_LIBRARY_PATH", "/nowhere/first:/nowhere/second");
  EXPECT_EQ(load("libnowhere.so",
                 [](const LoaderSearch&, const Described& found) -> std::string {
                   if (!found.names.contains("libnowhere.so")) return "names: " + listOf(found.names);
                   for (const char* directory : {"/nowhere/first", "/nowhere/second", "/lib", "/usr/lib"}) {
                     if (!found.directories.contains(directory)) return directory + std::string(" is missing");
                   }
                   return found.files.contains("/etc/ld.so.cache") ? "" : "the loader's cache is missing";
                 }),
            "");
}

// That the loader did not take it has reasons, which may go.
TEST_F(LoaderSearchTest, TellsWhatTheLoaderCouldNotTake) {
  fs::create_directories(directory_.path() / "bad");
  std::string bad = directory_.write("bad/libnowhere.so", "no shared object");
  environment_.set("LD_LIBRARY_PATH", fs::path(bad).parent_path());
  settle();
  EXPECT_EQ(load("libnowhere.so",
                 [&](const LoaderSearch&, const Described& found) -> std::string {
                   return found.files.contains(bad) ? "" : "files: " + listOf(found.files);
                 }),
            "");
}

auto nothing = [](const LoaderSearch&, const Described&) -> std::string { return "it is shared"; };

TEST_F(LoaderSearchTest, IsNotForSharingIfItDependsOnTheWorkingDirectory) {
  environment_.set("LD_LIBRARY_PATH", "lib");
  EXPECT_EQ(load("libnowhere.so", nothing), "shared objects are searched for in \"lib\"");
  environment_.set("LD_LIBRARY_PATH", "/lib:");
  EXPECT_EQ(load("libnowhere.so", nothing), "shared objects are searched for in \"\"");
}

TEST_F(LoaderSearchTest, IsNotForSharingIfAFileWasChangedMeanwhile) {
  EXPECT_EQ(load(needing_, nothing, [&] { fs::last_write_time(needed_, fs::file_time_type::clock::now()); }),
            needed_ + " was changed while it was loaded");
  EXPECT_EQ(load(needing_, nothing, [&] { fs::remove(needed_); }), needed_ + " was removed while it was loaded");
}

// By the time that it is looked at, the path leads to an older file.
TEST_F(LoaderSearchTest, IsNotForSharingIfAFileWasSwappedMeanwhile) {
  fs::create_directories(directory_.path() / "a");
  fs::create_directories(directory_.path() / "b");
  for (const char* name : {"a/libneeded.so", "b/libneeded.so"}) fs::copy_file(needed_, directory_.path() / name);
  fs::create_directory_symlink("a", directory_.path() / "now");
  settle();
  std::string path = directory_.path() / "now/libneeded.so";
  EXPECT_EQ(load(path, nothing,
                 [&] {
                   fs::remove(directory_.path() / "now");
                   fs::create_directory_symlink("b", directory_.path() / "now");
                 }),
            path + " was replaced while it was loaded");
}

TEST_F(LoaderSearchTest, IsNotForSharingIfSomethingHasAppearedMeanwhile) {
  fs::create_directories(directory_.path() / "empty");
  environment_.set("LD_LIBRARY_PATH", directory_.path() / "empty");
  settle();
  std::string path = directory_.path() / "empty/libnowhere.so";
  EXPECT_EQ(load("libnowhere.so", nothing, [&] { fs::copy_file(needed_, path); }),
            path + " appeared while shared objects were searched for");
}

TEST_F(LoaderSearchTest, DescribesWhatAProcessWasStartedWith) {
  capnp::MallocMessageBuilder message;
  auto conditions = message.initRoot<schema::Conditions>();
  environment_.set("LD_PRELOAD", needed_ + ":libpreloaded.so");
  LoaderSearch::describeStart(conditions);
  Described found = read(conditions);
  EXPECT_TRUE(found.files.contains(fs::read_symlink("/proc/self/exe"))) << listOf(found.files);
  EXPECT_TRUE(found.files.contains(needed_)) << listOf(found.files);
  EXPECT_TRUE(found.names.contains("libpreloaded.so")) << listOf(found.names);
  bool hasC = std::any_of(found.files.begin(), found.files.end(),
                          [](const std::string& file) { return file.find("/libc.so") != file.npos; });
  EXPECT_TRUE(hasC) << listOf(found.files);
}

}  // namespace
}  // namespace splicehost
