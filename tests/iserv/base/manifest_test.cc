#include "iserv/base/manifest.h"

#include <gtest/gtest.h>

#include "tests/iserv/temporary_directory.h"

namespace splicehost {
namespace {

TEST(Manifest, NamesVersionAndBuilds) {
  testing::TemporaryDirectory directory;
  directory.write("manifest",
                  "ghc-version 9.0.2\nvanilla 0123\nvanilla-library libc.so\n"
                  "vanilla-library libgmp.so\ndynamic 4567\n");
  auto manifest = readManifest(directory.path());
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->ghcVersion, "9.0.2");
  EXPECT_EQ(manifest->identities.size(), 2u);
  EXPECT_EQ(manifest->identities.find(wayName(schema::Way::VANILLA))->second, "0123");
  EXPECT_EQ(manifest->identities.find(wayName(schema::Way::DYNAMIC))->second, "4567");
  EXPECT_FALSE(manifest->identities.contains(wayName(schema::Way::PROFILED)));
  EXPECT_EQ(manifest->libraries["vanilla"], (std::set<std::string>{"libc.so", "libgmp.so"}));
  EXPECT_TRUE(manifest->libraries["dynamic"].empty());
}

TEST(Manifest, ThatIsMissingOrEmptyIsAnErrorWithItsPath) {
  testing::TemporaryDirectory directory;
  auto missing = readManifest(directory.path());
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find(directory.path().string() + "/manifest"), std::string::npos)
      << missing.error().message;
  directory.write("manifest", "");
  EXPECT_FALSE(readManifest(directory.path()));
  directory.write("manifest", "vanilla 0123\n");
  EXPECT_FALSE(readManifest(directory.path()));
}

// GHC chooses the suffixes; ways/ writes the names.
TEST(Ways, HaveGhcsSuffixes) {
  EXPECT_EQ(waySuffix(schema::Way::VANILLA), "");
  EXPECT_EQ(waySuffix(schema::Way::PROFILED), "-prof");
  EXPECT_EQ(waySuffix(schema::Way::DYNAMIC), "-dyn");
  EXPECT_EQ(wayName(schema::Way::VANILLA), "vanilla");
  EXPECT_EQ(wayName(schema::Way::PROFILED), "profiled");
  EXPECT_EQ(wayName(schema::Way::DYNAMIC), "dynamic");
}

}  // namespace
}  // namespace splicehost
