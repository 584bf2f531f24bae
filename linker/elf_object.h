// Checking a relocatable ELF object before a linker that trusts it gets to see it.
//
// An object file is a header, sections, and a table that says where each section is. All that a linker does follows
// numbers in the file. A symbol names a section by index and its own name by an offset into a string table. A
// relocation names a symbol by index and a place by an offset into a section. GHC's RTS linker follows most of them
// unchecked (GHC 9.0.2 rts/linker/Elf.c: ocInit_ELF, ocGetNames_ELF, do_Elf_Rela_relocations). So a file that was cut
// short or overwritten makes it read, and write, anywhere. Here every such number is compared with what it indexes.
//
// ElfObject::open looks at the headers: the file header, the section table, and whether each section lies in the file.
// checkContents looks at every symbol, and at every relocation of a section that is loaded.
//
// What the RTS neither loads nor reads is not looked at: debugging information, notes, comments and
// whatever else a compiler leaves in an object. It may be compressed, or of a type of its own.
//
// Neither can tell that code or data was altered. Whether the RTS can link an object is another
// question (checkLinkable), for when it is about to: nobody asks it of a member that is not needed.
//
// Sources: System V gABI, chapters 4 "Object Files" to "Relocation"; the x86-64 psABI, table "Relocation Types"; "ELF
// for the Arm 64-bit Architecture", section "Relocation types". The extended section numbering is also in the RTS's
// Note [Many ELF Sections].
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "linker/file_kind.h"
#include "protocol/result.h"

namespace splicehost::linker {

enum class SymbolBinding { kLocal, kGlobal, kWeak, kOther };

enum class SymbolPlace {
  kUndefined,  // SHN_UNDEF: to be found elsewhere
  kSection,    // defined at `value` in section `section`
  kAbsolute,   // SHN_ABS: the value is not relative to anything
  kCommon,     // SHN_COMMON: `size` bytes to be set aside, with alignment `value`
  kOther,      // an index reserved for a processor or system
};

// A symbol of an object. The name points into the object's bytes; it is empty for section symbols
// and for the symbol with index 0.
struct ElfSymbol {
  std::string_view name;
  SymbolBinding binding = SymbolBinding::kLocal;
  SymbolPlace place = SymbolPlace::kUndefined;
  uint32_t section = 0;
  uint64_t value = 0;
  uint64_t size = 0;
  uint8_t type = STT_NOTYPE;  // STT_FUNC, STT_TLS...
};

// A view of an object whose headers are in order. Holds no memory: the bytes given to open() must
// outlive it. They need not be aligned (members of an archive are not).
class ElfObject {
 public:
  // Checks the headers: this is a little-endian ELF64 relocatable object for the machine, and its section table, all
  // sections and their names lie in the file. Sections refer to others that exist and have the right type. A file of
  // another kind is described.
  static Result<ElfObject> open(std::span<const std::byte> file, Machine machine);

  // Checks what is in the symbol table and in the relocation sections.
  Status checkContents() const;

  // Whether there is a definition of a symbol that an object only refers to.
  using IsDefined = std::function<bool(const char* symbol)>;

  // Checks that the RTS can carry out all relocations. The contents have been found sound before.
  // The RTS's own answer is mostly the process's end, or a wrong address in the code. An error
  // names the symbol and what its user can do. Only weak references are asked about: others the
  // RTS looks up itself.
  Status checkLinkable(const IsDefined& isDefined) const;

  uint32_t sectionCount() const { return sectionCount_; }

  // Section 0 is the null section. The index must be below sectionCount().
  std::string_view sectionName(uint32_t index) const;
  Elf64_Shdr sectionHeader(uint32_t index) const;
  // Empty for sections without content in the file, such as .bss. What is in the file, of a section
  // that reaches past its end, as one can that is not loaded.
  std::span<const std::byte> sectionContent(uint32_t index) const;

  // How many symbols there are, counting the null symbol 0; none if there is no symbol table.
  size_t symbolCount() const { return symbolTable_.size() / sizeof(Elf64_Sym); }

  // The symbol with an index below symbolCount(). Fails if its name or section index is invalid,
  // which cannot be after a successful checkContents().
  Result<ElfSymbol> symbol(size_t index) const;

 private:
  ElfObject(std::string_view file, Machine machine) : file_(file), machine_(machine) {}

  std::string describeSection(uint32_t index) const;
  Error inSection(uint32_t index, const std::string& problem) const;
  Error inSymbol(size_t index, const std::string& problem) const;
  std::string_view content(const Elf64_Shdr& header) const;

  Status locateSections();
  Status checkSectionTable();
  Status checkReferences(uint32_t index, const Elf64_Shdr& header) const;
  Status checkPlacement(uint32_t index, const Elf64_Shdr& header) const;
  Status noteSymbolTable(uint32_t index, const Elf64_Shdr& header);
  Status checkSymbols() const;
  Result<uint32_t> extendedIndex(size_t symbol) const;
  bool isLoaded(uint32_t index) const;
  std::string_view namesFrom(uint64_t start) const;
  template <typename Entry>
  Status checkRelocations(uint32_t index, const Elf64_Shdr& header) const;
  Status checkLinkable(const Elf64_Shdr& relocations, const IsDefined& isDefined) const;
  Status checkLinkable(const Elf64_Rela& relocation, const Elf64_Shdr& target, const IsDefined& isDefined) const;

  std::string_view file_;
  Machine machine_;
  uint64_t sectionTable_ = 0;  // file offset
  uint32_t sectionCount_ = 0;
  std::string_view sectionNames_;
  uint32_t symbolTableIndex_ = 0;  // 0: the object has none
  uint32_t symbolNamesIndex_ = 0;
  std::string_view symbolTable_;
  std::string_view symbolNames_;
  std::optional<std::string_view> extendedIndices_;  // SHT_SYMTAB_SHNDX
};

Status checkObject(std::span<const std::byte> file, Machine machine);

}  // namespace splicehost::linker
