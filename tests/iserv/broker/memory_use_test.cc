#include "iserv/broker/memory_use.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "tests/iserv/in_child.h"

namespace splicehost::broker {
namespace {

using splicehost::testing::WaitingChild;

constexpr size_t kMuch = 32 << 20;

// Memory that is used.
void* take(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  return std::memset(memory, 1, bytes);
}

TEST(MemoryUse, CountsWhatIsUsed) {
  WaitingChild small([] {}), large([] { take(kMuch); });
  MemoryUse less = memoryUseOf(small.id()), more = memoryUseOf(large.id());
  EXPECT_GT(less.residentBytes, 0u);
  EXPECT_GE(more.residentBytes, kMuch);
  EXPECT_LT(less.residentBytes + kMuch / 2, more.residentBytes);
  EXPECT_GE(more.proportionalBytes, kMuch);
  EXPECT_LE(more.proportionalBytes, more.residentBytes);
}

// As a zygote's forks have it.
TEST(MemoryUse, DividesWhatIsShared) {
  void* memory = take(kMuch);
  WaitingChild fork([] {});
  MemoryUse use = memoryUseOf(fork.id());
  EXPECT_GE(use.residentBytes, kMuch);
  EXPECT_GE(use.sharedBytes, kMuch);
  EXPECT_LT(use.proportionalBytes, kMuch / 2 + kMuch / 4);
  munmap(memory, kMuch);
}

TEST(MemoryUse, IsNothingOfAProcessThatIsGone) {
  MemoryUse use = memoryUseOf(4'194'305);  // more than there can be
  EXPECT_EQ(use.residentBytes, 0u);
  EXPECT_EQ(use.proportionalBytes, 0u);
  EXPECT_EQ(use.sharedBytes, 0u);
}

}  // namespace
}  // namespace splicehost::broker
