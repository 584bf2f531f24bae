// What GHC really sent (recorded/README.md) is read, and damaged copies of it do no harm.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "bytecode/disassemble.h"
#include "bytecode/verify.h"
#include "tests/bytecode/recorded.h"

namespace splicehost::bytecode {
namespace {

using testing::splitMessage;

constexpr int kMutationsPerMessage = 300;

std::vector<std::string> recordedNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(SPLICEHOST_RECORDED_BCOS)) {
    if (entry.path().extension() == ".bin") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string readMessage(const std::string& name) {
  std::ifstream file(std::filesystem::path(SPLICEHOST_RECORDED_BCOS) / (name + ".bin"),
                     std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Bytes bytesOf(const std::string& message) {
  return std::as_bytes(std::span(message));
}

size_t countOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The listing of a recorded message, which has to pass all checks.
std::string listing(const std::string& name) {
  const std::string message = readMessage(name);
  const auto chunks = splitMessage(bytesOf(message));
  if (!chunks) return "no list of byte strings";
  const Result<BcoSet> set = decodeBcos(*chunks, kGhc902);
  if (!set.ok()) return set.error().message;
  const Status status = verify(*set, kGhc902);
  if (!status.ok()) return status.error().message;
  return disassemble(*set, kGhc902);
}

class Recorded : public ::testing::TestWithParam<std::string> {};

TEST_P(Recorded, IsReadAndVerified) {
  const std::string message = readMessage(GetParam());
  const auto chunks = splitMessage(bytesOf(message));
  ASSERT_TRUE(chunks);
  const Result<BcoSet> set = decodeBcos(*chunks, kGhc902);
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_FALSE(set->topLevel.empty());
  const Status status = verify(*set, kGhc902);
  EXPECT_TRUE(status.ok()) << status.error().message;
  const std::string text = disassemble(*set, kGhc902);
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
    const Result<BcoSet> set = decodeBcos({&input, 1}, kGhc902);
    if (!set.ok()) {
      EXPECT_FALSE(set.error().message.empty());
      continue;
    }
    ++decoded;
    const Status status = verify(*set, kGhc902);
    EXPECT_TRUE(status.ok() || !status.error().message.empty());
    EXPECT_FALSE(disassemble(*set, kGhc902).empty());
  }
  EXPECT_GT(decoded, 0);
}

INSTANTIATE_TEST_SUITE_P(Messages, Recorded, ::testing::ValuesIn(recordedNames()),
                         [](const ::testing::TestParamInfo<std::string>& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(RecordedModule, HasBreakpointsAndForeignCalls) {
  const std::string text = listing("ghci-module");
  EXPECT_GT(countOf(text, "BRK_FUN"), 10u) << text.substr(0, 200);
  EXPECT_GT(countOf(text, "CCALL"), 5u);
  EXPECT_GT(countOf(text, "SWIZZLE"), 0u);
  EXPECT_EQ(countOf(text, "BRK_FUN"), countOf(text, "cost centre 0x0 "));
}

TEST(RecordedModule, HasCostCentresWhenProfiling) {
  const std::string text = listing("ghci-module-prof");
  EXPECT_GT(countOf(text, "BRK_FUN"), 10u) << text.substr(0, 200);
  EXPECT_EQ(countOf(text, "cost centre 0x0 "), 0u);
}

}  // namespace
}  // namespace splicehost::bytecode
