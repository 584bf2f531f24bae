#include "linker/elf_object.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace splicehost::linker {
namespace {

static_assert(std::endian::native == std::endian::little,
              "ELF structures are copied from little-endian files as they are");

// The RTS maps or copies objects below 2 GiB of address space and counts their bytes in an int
// (GHC 9.0.2 rts/Linker.c, mkOc; rts/linker/Elf.c, ocAllocateExtras_ELF).
constexpr uint64_t kMostZeroBytes = uint64_t{1} << 31;

// The widest place that a relocation of either machine changes.
constexpr uint64_t kWidestRelocation = 8;

template <typename T>
T load(std::string_view bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::string number(uint64_t value) { return std::to_string(value); }

// How many bytes a relocation changes at its offset. For a type that is not in the processor's
// supplement it is one: the offset has to be in the section, more is not known.
uint64_t relocationWidth(Machine machine, uint32_t type) {
  if (machine == Machine::kX86_64) {
    switch (type) {
      case R_X86_64_NONE:
      case R_X86_64_TLSDESC_CALL:  // marks an instruction
        return 0;
      case R_X86_64_8:
      case R_X86_64_PC8:
        return 1;
      case R_X86_64_16:
      case R_X86_64_PC16:
        return 2;
      case R_X86_64_PC32:
      case R_X86_64_GOT32:
      case R_X86_64_PLT32:
      case R_X86_64_GOTPCREL:
      case R_X86_64_32:
      case R_X86_64_32S:
      case R_X86_64_TLSGD:
      case R_X86_64_TLSLD:
      case R_X86_64_DTPOFF32:
      case R_X86_64_GOTTPOFF:
      case R_X86_64_TPOFF32:
      case R_X86_64_GOTPC32:
      case R_X86_64_SIZE32:
      case R_X86_64_GOTPC32_TLSDESC:
      case R_X86_64_GOTPCRELX:
      case R_X86_64_REX_GOTPCRELX:
        return 4;
      case R_X86_64_64:
      case R_X86_64_DTPMOD64:
      case R_X86_64_DTPOFF64:
      case R_X86_64_TPOFF64:
      case R_X86_64_PC64:
      case R_X86_64_GOTOFF64:
      case R_X86_64_GOT64:
      case R_X86_64_GOTPCREL64:
      case R_X86_64_GOTPC64:
      case R_X86_64_GOTPLT64:
      case R_X86_64_PLTOFF64:
      case R_X86_64_SIZE64:
        return 8;
      default:
        return 1;
    }
  }
  switch (type) {
    case R_AARCH64_NONE:
    case 256:                     // its number before the ABI's final version
    case R_AARCH64_TLSDESC_CALL:  // marks an instruction
      return 0;
    case R_AARCH64_ABS16:
    case R_AARCH64_PREL16:
      return 2;
    case R_AARCH64_ABS64:
    case R_AARCH64_PREL64:
    case R_AARCH64_GOTREL64:
      return 8;
    default:
      // All others between these two are 32-bit data or instructions, which are 32 bits wide.
      return type >= R_AARCH64_ABS64 && type <= R_AARCH64_TLSLD_LDST128_DTPREL_LO12_NC ? 4 : 1;
  }
}

bool hasContentInFile(const Elf64_Shdr& header) { return header.sh_type != SHT_NULL && header.sh_type != SHT_NOBITS; }

// What the RTS puts into memory (getSectionKind_ELF and ocGetNames_ELF in GHC 9.0.2 and 9.10.3
// rts/linker/Elf.c). GHC 9.6 and later know the lists of initialisers by name, too.
bool rtsLoads(const Elf64_Shdr& header, std::string_view name) {
  if ((header.sh_flags & SHF_ALLOC) != 0) {
    switch (header.sh_type) {
      case SHT_PROGBITS:
      case SHT_NOBITS:
      case SHT_INIT_ARRAY:
      case SHT_FINI_ARRAY:
        return true;
      default:
        break;
    }
  }
  return name.starts_with(".init_array") || name.starts_with(".fini_array") || name.starts_with(".ctors") ||
         name.starts_with(".dtors");
}

// Besides what is loaded, the RTS reads these.
bool isTable(uint32_t type) {
  return type == SHT_SYMTAB || type == SHT_SYMTAB_SHNDX || type == SHT_REL || type == SHT_RELA;
}

bool isReservedIndex(uint32_t shndx) { return shndx >= SHN_LORESERVE; }

}  // namespace

Result<ElfObject> ElfObject::open(std::span<const std::byte> file, Machine machine) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  const auto wrongKind = [&](const std::string& wanted) {
    return Error{"this is " + describeContent(file) + ", not " + wanted};
  };
  if (!bytes.starts_with(ELFMAG)) return wrongKind("a relocatable object");
  if (bytes.size() < sizeof(Elf64_Ehdr)) {
    return Error{"the file ends inside the ELF header, after " + number(bytes.size()) + " of its " +
                 number(sizeof(Elf64_Ehdr)) + " bytes"};
  }
  const auto header = load<Elf64_Ehdr>(bytes, 0);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return wrongKind("a 64-bit little-endian one");
  }
  if (header.e_type != ET_REL) return wrongKind("a relocatable object");
  if (header.e_machine != static_cast<uint16_t>(machine)) return wrongKind("for " + std::string(machineName(machine)));

  ElfObject object(bytes, machine);
  if (Status located = object.locateSections(); !located) return located.error();
  if (Status checked = object.checkSectionTable(); !checked) return checked.error();
  return object;
}

// Finds the section table and the section names.
Status ElfObject::locateSections() {
  const auto header = load<Elf64_Ehdr>(file_, 0);
  if (header.e_shoff == 0) return Error{"the object has no section table"};
  if (header.e_shentsize != sizeof(Elf64_Shdr)) {
    return Error{"section table entries are " + number(header.e_shentsize) + " bytes, not " +
                 number(sizeof(Elf64_Shdr))};
  }
  if (header.e_shoff > file_.size() || file_.size() - header.e_shoff < sizeof(Elf64_Shdr)) {
    return Error{"the section table at offset " + number(header.e_shoff) + " is past the end of the file, which has " +
                 number(file_.size()) + " bytes"};
  }
  sectionTable_ = header.e_shoff;

  // Numbers that do not fit the file header's 16 bits are in the null section's header.
  const Elf64_Shdr null = sectionHeader(0);
  const uint64_t count = header.e_shnum != 0 ? header.e_shnum : null.sh_size;
  const uint64_t room = (file_.size() - sectionTable_) / sizeof(Elf64_Shdr);
  if (count == 0) return Error{"the section table is empty"};
  if (count > room) {
    return Error{"the section table has " + number(count) + " entries, of which only " + number(room) +
                 " are in the file"};
  }
  if (null.sh_type != SHT_NULL) return Error{"the section table does not start with the null section"};
  // Section indices in symbols and links have 32 bits.
  if (count > UINT32_MAX) return Error{"the section table has " + number(count) + " entries"};
  sectionCount_ = static_cast<uint32_t>(count);

  const uint32_t names = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : null.sh_link;
  if (names == SHN_UNDEF) return Error{"the object has no table of section names"};
  if (names >= sectionCount_) {
    return Error{"section " + number(names) + " should hold the section names, but there are only " +
                 number(sectionCount_) + " sections"};
  }
  const Elf64_Shdr namesHeader = sectionHeader(names);
  if (namesHeader.sh_type != SHT_STRTAB) {
    return Error{"section " + number(names) + " should hold the section names, but is of type " +
                 number(namesHeader.sh_type)};
  }
  if (Status placed = checkPlacement(names, namesHeader); !placed) return placed;
  const std::string_view table = content(namesHeader);
  if (!table.ends_with('\0')) {
    return Error{"section " + number(names) + ": the section names do not end with a zero byte"};
  }
  sectionNames_ = table;
  return Done{};
}

Status ElfObject::checkPlacement(uint32_t index, const Elf64_Shdr& header) const {
  if (!hasContentInFile(header)) return Done{};
  if (header.sh_offset <= file_.size() && header.sh_size <= file_.size() - header.sh_offset) return Done{};
  uint64_t end;
  if (__builtin_add_overflow(header.sh_offset, header.sh_size, &end)) {
    return inSection(index,
                     "has the impossible offset " + number(header.sh_offset) + " and size " + number(header.sh_size));
  }
  return inSection(index, "reaches " + number(end - file_.size()) + " bytes past the end");
}

Status ElfObject::checkSectionTable() {
  uint64_t zeroBytes = 0;
  for (uint32_t i = 1; i < sectionCount_; ++i) {
    const Elf64_Shdr header = sectionHeader(i);
    if (header.sh_name >= sectionNames_.size()) {
      return Error{"section " + number(i) + " has its name at " + number(header.sh_name) + " of a table of " +
                   number(sectionNames_.size()) + " bytes"};
    }
    const bool loaded = rtsLoads(header, namesFrom(header.sh_name));
    if (loaded || isTable(header.sh_type)) {
      if (Status placed = checkPlacement(i, header); !placed) return placed;
    }
    // The RTS rounds with masks made from the alignment (GHC 9.0.2 rts/sm/OSMem.h).
    if (loaded && (header.sh_addralign & (header.sh_addralign - 1)) != 0) {
      return inSection(i, "has alignment " + number(header.sh_addralign) + ", which is no power of two");
    }
    switch (header.sh_type) {
      case SHT_NOBITS:
        if ((header.sh_flags & SHF_ALLOC) == 0) break;
        if (header.sh_size >= kMostZeroBytes || (zeroBytes += header.sh_size) >= kMostZeroBytes) {
          return inSection(
              i, "needs " + number(header.sh_size) + " zero bytes; a linker has 2 GiB of address space for all");
        }
        break;
      case SHT_SYMTAB:
      case SHT_SYMTAB_SHNDX:
        if (Status noted = noteSymbolTable(i, header); !noted) return noted;
        break;
      case SHT_REL:
      case SHT_RELA:
        if (Status checked = checkReferences(i, header); !checked) return checked;
        break;
      default:
        break;
    }
  }
  if (extendedIndices_ && extendedIndices_->size() / sizeof(Elf64_Word) < symbolCount()) {
    return Error{"the table of extended section indices has " + number(extendedIndices_->size() / sizeof(Elf64_Word)) +
                 " entries for " + number(symbolCount()) + " symbols"};
  }
  return Done{};
}

// Remembers where the symbols and their extended section indices are. The gABI allows one symbol
// table in an object; the RTS takes the first SHT_SYMTAB_SHNDX for that of any symbol table.
Status ElfObject::noteSymbolTable(uint32_t index, const Elf64_Shdr& header) {
  if (header.sh_type == SHT_SYMTAB_SHNDX) {
    if (extendedIndices_) return inSection(index, "is a second table of extended section indices");
    extendedIndices_ = content(header);
    return Done{};
  }
  if (symbolTableIndex_ != 0) return inSection(index, "is a second symbol table");
  if (header.sh_entsize != sizeof(Elf64_Sym)) {
    return inSection(index, "has symbols of " + number(header.sh_entsize) + " bytes, not " + number(sizeof(Elf64_Sym)));
  }
  if (header.sh_size % sizeof(Elf64_Sym) != 0) {
    return inSection(index, "has a size of " + number(header.sh_size) + " bytes, no multiple of a symbol's " +
                                number(sizeof(Elf64_Sym)));
  }
  if (header.sh_link == SHN_UNDEF || header.sh_link >= sectionCount_) {
    return inSection(index,
                     "links to section " + number(header.sh_link) + " for its names, of " + number(sectionCount_));
  }
  const Elf64_Shdr names = sectionHeader(header.sh_link);
  if (names.sh_type != SHT_STRTAB) {
    return inSection(index, "links to section " + number(header.sh_link) + " for its names, which is no string table");
  }
  if (Status placed = checkPlacement(header.sh_link, names); !placed) return placed;
  symbolTableIndex_ = index;
  symbolNamesIndex_ = header.sh_link;
  symbolTable_ = content(header);
  symbolNames_ = content(names);
  return Done{};
}

// What a relocation section says about itself, its symbol table and its target.
Status ElfObject::checkReferences(uint32_t index, const Elf64_Shdr& header) const {
  if (header.sh_link == SHN_UNDEF) {
    return inSection(index, "has no symbol table; the object has probably been stripped");
  }
  if (header.sh_link >= sectionCount_ || sectionHeader(header.sh_link).sh_type != SHT_SYMTAB) {
    return inSection(index,
                     "links to section " + number(header.sh_link) + " for its symbols, which is no symbol table");
  }
  if (header.sh_info == SHN_UNDEF || header.sh_info >= sectionCount_) {
    return inSection(index, "applies to section " + number(header.sh_info) + ", of " + number(sectionCount_));
  }
  if (!isLoaded(header.sh_info)) return Done{};
  const uint64_t width = header.sh_type == SHT_RELA ? sizeof(Elf64_Rela) : sizeof(Elf64_Rel);
  if (header.sh_entsize != width) {
    return inSection(index, "has relocations of " + number(header.sh_entsize) + " bytes, not " + number(width));
  }
  if (header.sh_size % width != 0) {
    return inSection(
        index, "has a size of " + number(header.sh_size) + " bytes, no multiple of a relocation's " + number(width));
  }
  return Done{};
}

bool ElfObject::isLoaded(uint32_t index) const {
  const Elf64_Shdr header = sectionHeader(index);
  return rtsLoads(header, namesFrom(header.sh_name));
}

// The section names from an offset on: where only the beginning counts, its end need not be sought.
std::string_view ElfObject::namesFrom(uint64_t start) const {
  return sectionNames_.substr(std::min<uint64_t>(start, sectionNames_.size()));
}

Status ElfObject::checkContents() const {
  if (Status symbols = checkSymbols(); !symbols) return symbols;
  for (uint32_t i = 1; i < sectionCount_; ++i) {
    const Elf64_Shdr header = sectionHeader(i);
    if (header.sh_type != SHT_RELA && header.sh_type != SHT_REL) continue;
    // The RTS passes over relocations of what it does not load, whatever they are.
    if (!isLoaded(header.sh_info)) continue;
    if (header.sh_type == SHT_RELA) {
      if (Status checked = checkRelocations<Elf64_Rela>(i, header); !checked) return checked;
    } else {
      if (Status checked = checkRelocations<Elf64_Rel>(i, header); !checked) return checked;
    }
  }
  return Done{};
}

// Goes through all symbols with as few branches as will do, and leaves it to symbol() to say what
// is wrong with one.
Status ElfObject::checkSymbols() const {
  if (!symbolNames_.empty() && !symbolNames_.ends_with('\0')) {
    return Error{"the symbol names do not end with a zero byte"}.within(describeSection(symbolNamesIndex_));
  }
  const size_t count = symbolCount();
  uint64_t commonBytes = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto entry = load<Elf64_Sym>(symbolTable_, i * sizeof(Elf64_Sym));
    const bool plain =
        entry.st_name < symbolNames_.size() && entry.st_shndx < sectionCount_ && !isReservedIndex(entry.st_shndx);
    if (plain) continue;
    if (Result<ElfSymbol> checked = symbol(i); !checked) return checked.error();
    if (entry.st_shndx == SHN_COMMON &&
        (entry.st_size >= kMostZeroBytes || (commonBytes += entry.st_size) >= kMostZeroBytes)) {
      return inSymbol(i, "needs " + number(entry.st_size) +
                             " bytes of common storage; a linker has 2 GiB of address space for all");
    }
  }
  return Done{};
}

template <typename Entry>
Status ElfObject::checkRelocations(uint32_t index, const Elf64_Shdr& header) const {
  const std::string_view entries = content(header);
  const uint64_t targetSize = sectionHeader(header.sh_info).sh_size;
  // Offsets below this are fine whatever the relocation's width.
  const uint64_t safe = targetSize < kWidestRelocation ? 0 : targetSize - kWidestRelocation + 1;
  const size_t symbols = symbolCount();
  const size_t count = entries.size() / sizeof(Entry);
  for (size_t i = 0; i < count; ++i) {
    const auto entry = load<Entry>(entries, i * sizeof(Entry));
    const uint64_t symbol = ELF64_R_SYM(entry.r_info);
    if (symbol < symbols && entry.r_offset < safe) continue;

    if (symbol >= symbols) {
      return Error{"relocation " + number(i) + " refers to symbol " + number(symbol) + " of " + number(symbols)}.within(
          describeSection(index));
    }
    const auto type = static_cast<uint32_t>(ELF64_R_TYPE(entry.r_info));
    const uint64_t width = relocationWidth(machine_, type);
    if (entry.r_offset > targetSize || targetSize - entry.r_offset < width) {
      return Error{"relocation " + number(i) + " (type " + number(type) + ") changes " + number(width) +
                   " bytes at offset " + number(entry.r_offset) + " of " + describeSection(header.sh_info) +
                   ", which has " + number(targetSize)}
          .within(describeSection(index));
    }
  }
  return Done{};
}

Result<uint32_t> ElfObject::extendedIndex(size_t symbol) const {
  if (!extendedIndices_) return inSymbol(symbol, "has an extended section index, but the object has no table of them");
  return load<Elf64_Word>(*extendedIndices_, symbol * sizeof(Elf64_Word));
}

Result<ElfSymbol> ElfObject::symbol(size_t index) const {
  const auto entry = load<Elf64_Sym>(symbolTable_, index * sizeof(Elf64_Sym));
  ElfSymbol symbol;
  symbol.value = entry.st_value;
  symbol.size = entry.st_size;
  symbol.type = ELF64_ST_TYPE(entry.st_info);

  // The RTS does not look for a name at 0, so that there may be no string table at all.
  if (entry.st_name != 0) {
    const std::string_view name = symbolNames_.substr(std::min<size_t>(entry.st_name, symbolNames_.size()));
    const size_t end = name.find('\0');
    if (end == name.npos) {
      return inSymbol(index, "has its name at " + number(entry.st_name) + " of a table of " +
                                 number(symbolNames_.size()) + " bytes");
    }
    symbol.name = name.substr(0, end);
  }

  switch (ELF64_ST_BIND(entry.st_info)) {
    case STB_LOCAL:
      symbol.binding = SymbolBinding::kLocal;
      break;
    case STB_GLOBAL:
      symbol.binding = SymbolBinding::kGlobal;
      break;
    case STB_WEAK:
      symbol.binding = SymbolBinding::kWeak;
      break;
    default:
      symbol.binding = SymbolBinding::kOther;
  }

  switch (entry.st_shndx) {
    case SHN_UNDEF:
      symbol.place = SymbolPlace::kUndefined;
      return symbol;
    case SHN_ABS:
      symbol.place = SymbolPlace::kAbsolute;
      return symbol;
    case SHN_COMMON:
      symbol.place = SymbolPlace::kCommon;
      return symbol;
    default:
      break;
  }
  symbol.section = entry.st_shndx;
  if (entry.st_shndx == SHN_XINDEX) {
    Result<uint32_t> extended = extendedIndex(index);
    if (!extended) return extended.error();
    symbol.section = *extended;
  } else if (isReservedIndex(entry.st_shndx)) {
    symbol.place = SymbolPlace::kOther;
    return symbol;
  }
  if (symbol.section == SHN_UNDEF || symbol.section >= sectionCount_) {
    return inSymbol(index, "is in section " + number(symbol.section) + " of " + number(sectionCount_));
  }
  symbol.place = SymbolPlace::kSection;
  return symbol;
}

std::string_view ElfObject::sectionName(uint32_t index) const {
  const uint64_t start = sectionHeader(index).sh_name;
  if (start >= sectionNames_.size()) return {};
  const std::string_view name = sectionNames_.substr(start);
  return name.substr(0, name.find('\0'));
}

Elf64_Shdr ElfObject::sectionHeader(uint32_t index) const {
  return load<Elf64_Shdr>(file_, sectionTable_ + uint64_t{index} * sizeof(Elf64_Shdr));
}

std::span<const std::byte> ElfObject::sectionContent(uint32_t index) const {
  const std::string_view bytes = content(sectionHeader(index));
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

std::string_view ElfObject::content(const Elf64_Shdr& header) const {
  // Of what is not loaded nobody knows that it is in the file.
  return hasContentInFile(header) && header.sh_offset <= file_.size() ? file_.substr(header.sh_offset, header.sh_size)
                                                                      : std::string_view{};
}

// "section 7 (.text)", or without a name while the names are not known to be usable.
std::string ElfObject::describeSection(uint32_t index) const {
  const std::string_view name = sectionName(index);
  return "section " + number(index) + (name.empty() ? "" : " (" + printable(name) + ")");
}

Error ElfObject::inSection(uint32_t index, const std::string& problem) const {
  return Error{describeSection(index) + " " + problem};
}

Error ElfObject::inSymbol(size_t index, const std::string& problem) const {
  return Error{"symbol " + number(index) + " " + problem}.within(describeSection(symbolTableIndex_));
}

Status checkObject(std::span<const std::byte> file, Machine machine) {
  Result<ElfObject> object = ElfObject::open(file, machine);
  if (!object) return object.error();
  return object->checkContents();
}

}  // namespace splicehost::linker
