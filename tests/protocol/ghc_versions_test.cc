#include "protocol/ghc_versions.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace splicehost::ghc {
namespace {

TEST(GhcVersions, AreThoseThatTheBuildReads) {
  std::ifstream file(SPLICEHOST_GHC_VERSIONS);
  ASSERT_TRUE(file) << SPLICEHOST_GHC_VERSIONS;
  std::vector<std::string> listed, tables;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with('#')) listed.push_back(line);
  }
  for (const Version& version : versions()) tables.emplace_back(version.name);
  EXPECT_EQ(listed, tables);
}

}  // namespace
}  // namespace splicehost::ghc
