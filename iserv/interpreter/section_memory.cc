// Memory for the sections of small objects and of all members of archives, in place of the RTS's own allocator where
// that wastes it. See Note [Section memory] in iserv/interpreter/rts_version.h. The functions' names and what they
// promise are those of rts/linker/M32Alloc.h (GHC 9.0.2): they come first in the link, so that the RTS's are left out.
// The RTS holds its linker's lock whenever it calls one.
#include "iserv/interpreter/rts_version.h"

#ifdef SPLICEHOST_OWN_SECTION_MEMORY

#include <unistd.h>

#include <cstddef>
#include <vector>

extern "C" {

// Of rts/Linker.c. Weak, since a shared RTS keeps them to itself; it has its own allocator, too.
void* mmapAnonForLinker(size_t bytes) __attribute__((weak));
void munmapForLinker(void* address, size_t bytes, const char* caller) __attribute__((weak));
void mmapForLinkerMarkExecutable(void* start, size_t bytes) __attribute__((weak));

// The memory of one object, either for code and constants or for data.
struct m32_allocator_t;
}

namespace {

struct Pages {
  char* start = nullptr;
  size_t bytes = 0;
};

size_t roundUp(size_t value, size_t unit) { return (value + unit - 1) & ~(unit - 1); }

size_t pageSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Pages that the RTS's linker can use, from mappings that many objects have in common. A mapping for each would be a
// system call, and one of the kernel's limited number (vm.max_map_count).
Pages takePages(size_t bytes) {
  constexpr size_t kMapping = 1 << 20;
  static Pages left;
  bytes = roundUp(bytes, pageSize());
  if (bytes > left.bytes) {
    bool alone = bytes >= kMapping / 16;
    size_t mapped = alone ? bytes : kMapping;
    auto* start = static_cast<char*>(mmapAnonForLinker(mapped));
    if (start == nullptr) return {};
    if (alone) return {start, bytes};
    left = {start, mapped};
  }
  Pages taken{left.start, bytes};
  left = {left.start + bytes, left.bytes - bytes};
  return taken;
}

}  // namespace

struct m32_allocator_t {
  bool executable;
  std::vector<Pages> pages;
  // What is left of some of the pages.
  char* next = nullptr;
  char* end = nullptr;
};

extern "C" {

__attribute__((visibility("hidden"))) m32_allocator_t* m32_allocator_new(bool executable) {
  return new m32_allocator_t{executable, {}};
}

__attribute__((visibility("hidden"))) void m32_allocator_free(m32_allocator_t* allocator) {
  for (const Pages& pages : allocator->pages) munmapForLinker(pages.start, pages.bytes, "m32_allocator_free");
  delete allocator;
}

__attribute__((visibility("hidden"))) void m32_allocator_flush(m32_allocator_t* allocator) {
  if (!allocator->executable) return;
  for (const Pages& pages : allocator->pages) mmapForLinkerMarkExecutable(pages.start, pages.bytes);
  // Nothing more can be written there.
  allocator->next = allocator->end = nullptr;
}

__attribute__((visibility("hidden"))) void* m32_alloc(m32_allocator_t* allocator, size_t size, size_t alignment) {
  char* start = reinterpret_cast<char*>(roundUp(reinterpret_cast<size_t>(allocator->next), alignment));
  if (start != nullptr && start <= allocator->end && size <= static_cast<size_t>(allocator->end - start)) {
    allocator->next = start + size;
    return start;
  }
  Pages pages = takePages(size);
  if (pages.start == nullptr) return nullptr;
  allocator->pages.push_back(pages);
  // What has more room left is what the next sections go to.
  if (allocator->next == nullptr || pages.bytes - size > static_cast<size_t>(allocator->end - allocator->next)) {
    allocator->next = pages.start + size;
    allocator->end = pages.start + pages.bytes;
  }
  return pages.start;
}
}

#endif
