#include "iserv/interpreter/constructor_info.h"
#include "protocol/system.h"

#include <Rts.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <string>

// Of the RTS (rts/StgMiscClosures.cmm); its headers do not declare them.
extern "C" {
void stg_interp_constr1_entry(void);
void stg_interp_constr2_entry(void);
void stg_interp_constr3_entry(void);
void stg_interp_constr4_entry(void);
void stg_interp_constr5_entry(void);
void stg_interp_constr6_entry(void);
void stg_interp_constr7_entry(void);
}

namespace splicehost::bytecode {

namespace {

// Entry code: a jump to the RTS's code that returns a constructor with this pointer tag.
#if defined(__x86_64__)
// jmp *(next 8 bytes), with the address aligned.
struct EntryCode {
  uint8_t jump[8] = {0xff, 0x25, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00};
  void* target;
};
#elif defined(__aarch64__)
// ldr x1, #8; br x1
struct EntryCode {
  uint32_t jump[2] = {0x58000041, 0xd61f0020};
  void* target;
};
#else
#error "entry code for this architecture is not known"
#endif

void* entryOf(int64_t pointerTag) {
  constexpr void (*kEntries[])() = {
      stg_interp_constr1_entry, stg_interp_constr2_entry, stg_interp_constr3_entry, stg_interp_constr4_entry,
      stg_interp_constr5_entry, stg_interp_constr6_entry, stg_interp_constr7_entry,
  };
  return reinterpret_cast<void*>(kEntries[pointerTag - 1]);
}

Error outOfRange(const char* what, int64_t value) {
  return Error{std::string("constructor info table: ") + what + " is " + std::to_string(value)};
}

// Memory that is written once and executed after; never both at once.
Result<std::byte*> writablePages(size_t size) {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    return systemError("constructor info table: mmap");
  }
  return static_cast<std::byte*>(pages);
}

}  // namespace

Result<uint64_t> makeConstructorInfo(schema::ConstructorInfo::Reader constructor) {
#if !defined(TABLES_NEXT_TO_CODE)
#error "the RTS keeps info tables apart from their code; Splicehost knows no such GHC"
#endif
  if (!constructor.getTablesNextToCode()) {
    return Error{"constructor info table: GHC keeps tables apart from code, this RTS does not"};
  }
  int64_t pointers = constructor.getPointerWords();
  int64_t nonPointers = constructor.getNonPointerWords();
  int64_t tag = constructor.getConstructorTag();
  int64_t pointerTag = constructor.getPointerTag();
  if (pointers < 0 || pointers > UINT32_MAX) return outOfRange("the number of pointers", pointers);
  if (nonPointers < 0 || nonPointers > UINT32_MAX) {
    return outOfRange("the number of non-pointer words", nonPointers);
  }
  if (tag < 0 || tag > UINT32_MAX) return outOfRange("the constructor's number", tag);
  if (pointerTag < 1 || pointerTag > 7) return outOfRange("the pointer tag", pointerTag);

  // In memory: the table, right behind it the entry code, and the description, within reach of the table's 32-bit
  // offsets. A closure's header points to the entry code.
  auto description = constructor.getDescription();
  size_t size = sizeof(StgConInfoTable) + sizeof(EntryCode) + description.size() + 1;
  Result<std::byte*> pages = writablePages(size);
  if (!pages) return pages.error();

  auto& table = *reinterpret_cast<StgConInfoTable*>(*pages);
  std::byte* code = *pages + sizeof(StgConInfoTable);
  std::memcpy(code + sizeof(EntryCode), description.begin(), description.size());
  // Offsets count from the end of the table, where the code begins.
  constexpr StgHalfInt kOffset = sizeof(EntryCode);
  table.con_desc = kOffset;
  table.i.layout.payload.ptrs = static_cast<StgHalfWord>(pointers);
  table.i.layout.payload.nptrs = static_cast<StgHalfWord>(nonPointers);
  table.i.type = CONSTR;
  table.i.srt = static_cast<StgHalfInt>(tag);
#if defined(PROFILING)
  // Heap profiles by type or closure description name the constructor.
  table.i.prof.closure_type_off = kOffset;
  table.i.prof.closure_desc_off = kOffset;
#endif
  new (code) EntryCode{.target = entryOf(pointerTag)};

  if (mprotect(*pages, size, PROT_READ | PROT_EXEC) != 0) {
    return systemError("constructor info table: mprotect");
  }
  __builtin___clear_cache(reinterpret_cast<char*>(*pages), reinterpret_cast<char*>(*pages) + size);
  return reinterpret_cast<uint64_t>(code);
}

}  // namespace splicehost::bytecode
