// The test stands for the RTS, on both sides: it maps pages for the allocators, and asks them for memory.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <vector>

namespace {

bool isMemoryThere = true;
std::map<char*, size_t> mapped;
std::map<char*, size_t> unmapped;
std::map<char*, size_t> executable;

}  // namespace

extern "C" {
struct m32_allocator_t;
m32_allocator_t* m32_allocator_new(bool executable);
void m32_allocator_free(m32_allocator_t* allocator);
void m32_allocator_flush(m32_allocator_t* allocator);
void* m32_alloc(m32_allocator_t* allocator, size_t size, size_t alignment);

void* mmapAnonForLinker(size_t bytes) {
  if (!isMemoryThere) return nullptr;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mapped[static_cast<char*>(memory)] = bytes;
  return memory;
}

void munmapForLinker(void* address, size_t bytes, const char*) { unmapped[static_cast<char*>(address)] = bytes; }
void mmapForLinkerMarkExecutable(void* start, size_t bytes) { executable[static_cast<char*>(start)] = bytes; }
}

namespace splicehost {
namespace {

const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

class SectionMemory : public ::testing::Test {
 protected:
  SectionMemory() { forget(); }
  ~SectionMemory() override {
    for (m32_allocator_t* allocator : allocators_) m32_allocator_free(allocator);
  }

  static void forget() {
    isMemoryThere = true;
    mapped.clear();
    unmapped.clear();
    executable.clear();
  }
  m32_allocator_t* make(bool executable = false) { return *allocators_.insert(m32_allocator_new(executable)).first; }
  void free(m32_allocator_t* allocator) {
    m32_allocator_free(allocator);
    allocators_.erase(allocator);
  }
  // Memory that can be written to.
  static char* take(m32_allocator_t* allocator, size_t size, size_t alignment = 8) {
    auto* memory = static_cast<char*>(m32_alloc(allocator, size, alignment));
    if (memory != nullptr) std::memset(memory, 1, size);
    return memory;
  }
  static uintptr_t pageOf(const void* address) { return reinterpret_cast<uintptr_t>(address) / kPage; }

 private:
  std::set<m32_allocator_t*> allocators_;
};

TEST_F(SectionMemory, IsAlignedAndDisjoint) {
  m32_allocator_t* allocator = make();
  std::map<char*, size_t> taken;
  for (size_t size : {1, 7, 100, 8, 3000, 5000, 16, 1}) {
    for (size_t alignment : {1, 8, 64}) {
      char* memory = take(allocator, size, alignment);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignment, 0u);
      taken[memory] = size;
    }
  }
  EXPECT_EQ(taken.size(), 24u);
  for (auto one = taken.begin(), next = std::next(one); next != taken.end(); ++one, ++next) {
    EXPECT_LE(one->first + one->second, next->first);
  }
}

TEST_F(SectionMemory, PutsSmallSectionsOnOnePage) {
  m32_allocator_t* allocator = make();
  uintptr_t page = pageOf(take(allocator, 100));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pageOf(take(allocator, 100)), page);
}

// One is made executable when the other is still written to.
TEST_F(SectionMemory, GivesNoTwoObjectsOnePage) {
  std::set<uintptr_t> pages;
  for (int i = 0; i < 20; ++i) pages.insert(pageOf(take(make(), 10)));
  EXPECT_EQ(pages.size(), 20u);
}

// The kernel allows a process some 65000 mappings.
TEST_F(SectionMemory, MapsForManyObjectsAtOnce) {
  for (int i = 0; i < 200; ++i) take(make(), 10);
  EXPECT_LE(mapped.size(), 2u);
}

TEST_F(SectionMemory, MapsForALargeSectionAlone) {
  m32_allocator_t* allocator = make();
  constexpr size_t kLarge = 5'000'000;
  char* memory = take(allocator, kLarge);
  ASSERT_EQ(mapped.count(memory), 1u);
  EXPECT_LT(mapped[memory], kLarge + kPage);
}

TEST_F(SectionMemory, MakesCodeExecutable) {
  m32_allocator_t* code = make(true);
  char* small = take(code, 100);
  char* large = take(code, 3 * kPage);
  m32_allocator_flush(code);
  auto covers = [](char* memory, size_t size) {
    return std::any_of(executable.begin(), executable.end(), [&](const auto& pages) {
      return pages.first <= memory && memory + size <= pages.first + pages.second;
    });
  };
  EXPECT_TRUE(covers(small, 100));
  EXPECT_TRUE(covers(large, 3 * kPage));
  // What comes later cannot be written there.
  EXPECT_NE(pageOf(take(code, 100)), pageOf(small));
}

TEST_F(SectionMemory, LeavesDataAsItIs) {
  m32_allocator_t* data = make();
  char* first = take(data, 100);
  m32_allocator_flush(data);
  EXPECT_TRUE(executable.empty());
  EXPECT_EQ(pageOf(take(data, 100)), pageOf(first));
}

TEST_F(SectionMemory, GoesWithItsObject) {
  m32_allocator_t* one = make();
  m32_allocator_t* other = make();
  char* small = take(one, 100);
  char* large = take(one, 3 * kPage);
  char* others = take(other, 100);
  free(one);
  EXPECT_EQ(unmapped[small], kPage);
  EXPECT_EQ(unmapped[large], 3 * kPage);
  EXPECT_FALSE(unmapped.contains(others));
}

TEST_F(SectionMemory, IsNothingIfThereIsNone) {
  m32_allocator_t* allocator = make();
  isMemoryThere = false;
  EXPECT_EQ(m32_alloc(allocator, 100'000'000, 8), nullptr);
}

}  // namespace
}  // namespace splicehost
