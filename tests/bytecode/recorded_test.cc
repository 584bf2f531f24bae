// What GHC really sent (recorded/README.md) is read, and damaged copies of it do no harm.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "bytecode/disassemble.h"
#include "bytecode/verify.h"
#include "tests/bytecode/encode.h"
#include "tests/bytecode/recorded.h"

namespace splicehost::bytecode {
namespace {

using testing::splitMessage;

constexpr int kMutationsPerMessage = 300;

// Each as the GHC's version and the file: "9.0.2/splice".
std::vector<std::string> recordedNames() {
  std::vector<std::string> names;
  for (const BcoFormat& format : formats()) {
    const std::filesystem::path directory(SPLICEHOST_RECORDED_BCOS);
    for (const auto& entry : std::filesystem::directory_iterator(directory / format.ghc)) {
      if (entry.path().extension() != ".bin") continue;
      names.push_back(std::string(format.ghc) + "/" + entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string readMessage(const std::string& name) {
  std::ifstream file(std::filesystem::path(SPLICEHOST_RECORDED_BCOS) / (name + ".bin"), std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Bytes bytesOf(const std::string& message) { return std::as_bytes(std::span(message)); }

size_t countOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

const BcoFormat& formatOf(const std::string& name) {
  return testing::formatOf(std::string_view(name).substr(0, name.find('/')));
}

// The listing of a recorded message, which has to pass all checks.
std::string listing(const std::string& name) {
  const std::string message = readMessage(name);
  const auto chunks = splitMessage(bytesOf(message));
  if (!chunks) return "no list of byte strings";
  const BcoFormat& format = formatOf(name);
  const Result<BcoSet> set = decodeBcos(*chunks, format);
  if (!set.ok()) return set.error().message;
  const Status status = verify(*set, format);
  if (!status.ok()) return status.error().message;
  return disassemble(*set, format);
}

class Recorded : public ::testing::TestWithParam<std::string> {};

TEST_P(Recorded, IsReadAndVerified) {
  const std::string message = readMessage(GetParam());
  const auto chunks = splitMessage(bytesOf(message));
  ASSERT_TRUE(chunks);
  const BcoFormat& format = formatOf(GetParam());
  const Result<BcoSet> set = decodeBcos(*chunks, format);
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_FALSE(set->topLevel.empty());
  const Status status = verify(*set, format);
  EXPECT_TRUE(status.ok()) << status.error().message;
  const std::string text = disassemble(*set, format);
  EXPECT_EQ(countOf(text, ": arity "), set->bcos.size());
  EXPECT_EQ(countOf(text, "missing"), 0u);
}

// Changes a few bytes, or cuts the message, and reads what is left. Whatever comes of it, nothing
// outside of the message may be touched (which the sanitizer build sees) and nothing may fail but
// by an error. Half of the time the length fields survive, so that the verifier gets its share.
TEST_P(Recorded, DamageIsHarmless) {
  const std::string original = readMessage(GetParam());
  const auto chunks = splitMessage(bytesOf(original));
  ASSERT_TRUE(chunks);
  const BcoFormat& format = formatOf(GetParam());
  std::mt19937 random(1);  // fixed, so that a failure can be repeated
  int decoded = 0;
  for (int round = 0; round < kMutationsPerMessage; ++round) {
    // One byte string of its own size on the heap: a read beyond it is seen.
    const Bytes chunk = (*chunks)[random() % chunks->size()];
    std::vector<std::byte> damaged(chunk.begin(), chunk.end());
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      std::byte& byte = damaged[random() % damaged.size()];
      byte = static_cast<std::byte>(random() % 2 == 0 ? random() : random() % 8);
    }
    if (random() % 8 == 0) damaged.resize(random() % damaged.size());
    damaged.shrink_to_fit();
    const Bytes input(damaged);
    const Result<BcoSet> set = decodeBcos({&input, 1}, format);
    if (!set.ok()) {
      EXPECT_FALSE(set.error().message.empty());
      continue;
    }
    ++decoded;
    const Status status = verify(*set, format);
    EXPECT_TRUE(status.ok() || !status.error().message.empty());
    EXPECT_FALSE(disassemble(*set, format).empty());
  }
  EXPECT_GT(decoded, 0);
}

INSTANTIATE_TEST_SUITE_P(Messages, Recorded, ::testing::ValuesIn(recordedNames()),
                         [](const ::testing::TestParamInfo<std::string>& info) {
                           std::string name = info.param;
                           std::ranges::replace_if(
                               name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
                           return name;
                         });

class RecordedModule : public ::testing::TestWithParam<BcoFormat> {
 protected:
  static std::string listingOf(const char* message) { return listing(std::string(GetParam().ghc) + "/" + message); }
};

TEST_P(RecordedModule, HasBreakpointsAndForeignCalls) {
  const std::string text = listingOf("ghci-module");
  EXPECT_GT(countOf(text, "BRK_FUN"), 10u) << text.substr(0, 200);
  EXPECT_GT(countOf(text, "CCALL"), 5u);
  EXPECT_GT(countOf(text, "SWIZZLE"), 0u);
  EXPECT_EQ(countOf(text, "BRK_FUN"), countOf(text, "cost centre 0x0 "));
}

TEST_P(RecordedModule, HasCostCentresWhenProfiling) {
  const std::string text = listingOf("ghci-module-prof");
  EXPECT_GT(countOf(text, "BRK_FUN"), 10u) << text.substr(0, 200);
  EXPECT_EQ(countOf(text, "cost centre 0x0 "), 0u);
}

TEST_P(RecordedModule, RefersToWhatAnEarlierStatementBound) {
  EXPECT_GT(countOf(listingOf("ghci-statement"), " remote 0x"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Versions, RecordedModule, ::testing::ValuesIn(formats().begin(), formats().end()),
                         [](const auto& info) { return testing::testName(info.param.ghc); });

// The instructions that 9.0.2 does not have.
TEST(RecordedModules, HaveTuplesAndPrimitiveCalls) {
  for (const char* version : {"9.6.6", "9.10.3"}) {
    const std::string text = listing(std::string(version) + "/ghci-unboxed");
    for (const char* name : {"PUSH_ALTS_T ", "RETURN_T\n", "PRIMCALL\n"}) {
      EXPECT_GT(countOf(text, name), 0u) << version << ' ' << name << '\n' << text.substr(0, 200);
    }
  }
}

TEST(RecordedModules, HaveIntegersOfAllSizes) {
  const std::string text = listing("9.10.3/ghci-sized");
  for (const char* size : {"I8", "I16", "I32", "I64", "W8", "W16", "W32", "W64"}) {
    for (const char* test : {"TESTEQ_", "TESTLT_"}) {
      const std::string name = std::string(test) + size + " ";
      EXPECT_GT(countOf(text, name), 0u) << name << '\n' << text.substr(0, 200);
    }
  }
}

}  // namespace
}  // namespace splicehost::bytecode
