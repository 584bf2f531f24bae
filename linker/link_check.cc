// ElfObject::checkLinkable: whether the RTS can carry out an object's relocations.
//
// GHC's linker implements the relocations that GHC's own code has, and most of what C code compiled for static
// libraries has. It does not have those of thread-local variables: the threads' memory belongs to the system's loader.
// Nor those of indirect functions (IFUNC), whose address is what a call to them returns, nor those of the large memory
// models. Of a type that it does not know it says "internal error" and ends the process (barf in
// do_Elf_Rela_relocations, rts/linker/Elf.c). A local symbol that is in no section is to it one behind the end of its
// table of sections. A weak reference to what is nowhere cannot be the null that it should be. GHC 9.10 does not say
// whose it is (fillGot in rts/linker/elf_got.c).
#include <algorithm>
#include <cstring>
#include <iterator>

#include "linker/elf_object.h"

namespace splicehost::linker {
namespace {

// What the RTS implements; the same in GHC 9.0.2, 9.6.6 and 9.10.3 (do_Elf_Rela_relocations in
// rts/linker/Elf.c; decodeAddendAarch64 and encodeAddendAarch64 in rts/linker/elf_reloc_aarch64.c).
// GHC 9.6 has a case for R_X86_64_TLSGD as well, which says on Linux that it is not supported.
constexpr uint32_t kKnownX86_64[] = {R_X86_64_NONE,      R_X86_64_64,           R_X86_64_PC32,  R_X86_64_PC64,
                                     R_X86_64_32,        R_X86_64_32S,          R_X86_64_PLT32, R_X86_64_GOTPCREL,
                                     R_X86_64_GOTPCRELX, R_X86_64_REX_GOTPCRELX};
constexpr uint32_t kKnownAarch64[] = {R_AARCH64_ABS64,
                                      R_AARCH64_PREL64,
                                      R_AARCH64_ABS32,
                                      R_AARCH64_PREL32,
                                      R_AARCH64_ABS16,
                                      R_AARCH64_PREL16,
                                      R_AARCH64_ADR_PREL_PG_HI21,
                                      R_AARCH64_JUMP26,
                                      R_AARCH64_CALL26,
                                      R_AARCH64_ADR_GOT_PAGE,
                                      R_AARCH64_ADD_ABS_LO12_NC,
                                      R_AARCH64_LDST8_ABS_LO12_NC,
                                      R_AARCH64_LDST16_ABS_LO12_NC,
                                      R_AARCH64_LDST32_ABS_LO12_NC,
                                      R_AARCH64_LDST64_ABS_LO12_NC,
                                      R_AARCH64_LDST128_ABS_LO12_NC,
                                      R_AARCH64_LD64_GOT_LO12_NC};

// The RTS looks whether the four bytes at a relocation's place are the object's, whatever its width
// (checkProddableBlock in rts/Linker.c).
constexpr uint64_t kProdded = 4;

// More than any code adds to the address of an entry of the global offset table, which has eight
// bytes.
constexpr int64_t kMostBesideGot = 1 << 16;

bool isKnown(Machine machine, uint32_t type) {
  const auto among = [type](const auto& known) {
    return std::find(std::begin(known), std::end(known), type) != std::end(known);
  };
  return machine == Machine::kX86_64 ? among(kKnownX86_64) : among(kKnownAarch64);
}

bool isThreadLocal(Machine machine, uint32_t type) {
  if (machine == Machine::kX86_64) {
    return (type >= R_X86_64_DTPMOD64 && type <= R_X86_64_TPOFF32) ||
           (type >= R_X86_64_GOTPC32_TLSDESC && type <= R_X86_64_TLSDESC);
  }
  return type >= R_AARCH64_TLSGD_ADR_PREL21 && type <= R_AARCH64_TLSLD_LDST128_DTPREL_LO12_NC;
}

bool fitsAddend(Machine machine, const Elf64_Rela& relocation) {
  if (machine != Machine::kX86_64) return true;
  switch (ELF64_R_TYPE(relocation.r_info)) {
    case R_X86_64_GOTPCREL:
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
      return relocation.r_addend >= -kMostBesideGot && relocation.r_addend <= kMostBesideGot;
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
    case R_X86_64_32:
    case R_X86_64_32S:
      return relocation.r_addend >= INT32_MIN && relocation.r_addend <= INT32_MAX;
    default:
      return true;
  }
}

bool hasPlace(Machine machine, const Elf64_Rela& relocation, const Elf64_Shdr& target) {
  if (machine != Machine::kX86_64) return true;
  return target.sh_type != SHT_NOBITS && target.sh_size >= kProdded && relocation.r_offset <= target.sh_size - kProdded;
}

constexpr char kAdvice[] = "; use the library as a shared object (.so)";

}  // namespace

Status ElfObject::checkLinkable(const IsDefined& isDefined) const {
  // The RTS looks up the sections of these whether something refers to them or not (ocResolve_ELF).
  for (size_t i = 0; i < symbolCount(); ++i) {
    Elf64_Sym entry;
    std::memcpy(&entry, symbolTable_.data() + i * sizeof entry, sizeof entry);
    if (ELF64_ST_TYPE(entry.st_info) != STT_SECTION) continue;
    Result<ElfSymbol> section = symbol(i);
    if (!section) return section.error();
    if (section->place != SymbolPlace::kSection || !section->name.empty() || section->value != 0) {
      return inSymbol(i, "should stand for a section, and does not; it is damaged");
    }
  }
  for (uint32_t i = 1; i < sectionCount_; ++i) {
    const Elf64_Shdr header = sectionHeader(i);
    if ((header.sh_type != SHT_RELA && header.sh_type != SHT_REL) || !isLoaded(header.sh_info)) continue;
    if (header.sh_type == SHT_REL && header.sh_size > 0) {
      return inSection(i, std::string("has relocations without addends, which GHC's linker does not know") + kAdvice);
    }
    if (Status checked = checkLinkable(header, isDefined); !checked) return checked.error().within(describeSection(i));
  }
  return Done{};
}

Status ElfObject::checkLinkable(const Elf64_Shdr& relocations, const IsDefined& isDefined) const {
  const std::string_view entries = content(relocations);
  const Elf64_Shdr target = sectionHeader(relocations.sh_info);
  for (size_t i = 0; i < entries.size() / sizeof(Elf64_Rela); ++i) {
    Elf64_Rela entry;
    std::memcpy(&entry, entries.data() + i * sizeof entry, sizeof entry);
    Elf64_Sym symbol;
    std::memcpy(&symbol, symbolTable_.data() + ELF64_R_SYM(entry.r_info) * sizeof symbol, sizeof symbol);
    const bool plain = isKnown(machine_, ELF64_R_TYPE(entry.r_info)) && fitsAddend(machine_, entry) &&
                       ELF64_ST_TYPE(symbol.st_info) != STT_GNU_IFUNC && ELF64_ST_BIND(symbol.st_info) != STB_WEAK &&
                       symbol.st_shndx < SHN_LORESERVE && hasPlace(machine_, entry, target);
    if (plain) continue;
    if (Status checked = checkLinkable(entry, target, isDefined); !checked) {
      return checked.error().within("relocation " + std::to_string(i) + " (type " +
                                    std::to_string(ELF64_R_TYPE(entry.r_info)) + ")");
    }
  }
  return Done{};
}

// Says what is wrong with a relocation.
Status ElfObject::checkLinkable(const Elf64_Rela& relocation, const Elf64_Shdr& target,
                                const IsDefined& isDefined) const {
  const auto type = static_cast<uint32_t>(ELF64_R_TYPE(relocation.r_info));
  Result<ElfSymbol> found = symbol(ELF64_R_SYM(relocation.r_info));
  if (!found) return found.error();
  std::string_view name = found->name;
  if (name.empty() && found->place == SymbolPlace::kSection) name = sectionName(found->section);
  const auto fail = [&](const std::string& problem, const char* advice = kAdvice) {
    return Error{"symbol " + printable(name) + " " + problem + advice};
  };
  if (isThreadLocal(machine_, type)) return fail("is thread-local, which GHC's linker does not support");
  if (!isKnown(machine_, type)) return fail("is referred to in a way that GHC's linker does not know");
  if (found->type == STT_GNU_IFUNC) return fail("is an indirect function (IFUNC), which GHC's linker does not support");
  if (!fitsAddend(machine_, relocation)) {
    return fail("is referred to with an offset of " + std::to_string(relocation.r_addend) + " bytes",
                "; it is damaged");
  }
  if (found->binding == SymbolBinding::kLocal && found->place != SymbolPlace::kSection &&
      found->place != SymbolPlace::kUndefined) {
    return fail("is local and in no section, which GHC's linker does not know");
  }
  if (found->binding == SymbolBinding::kWeak && found->place == SymbolPlace::kUndefined &&
      !isDefined(std::string(name).c_str())) {
    return fail("is a weak reference to what no library defines, which GHC's linker does not support",
                "; link a library that defines it, or use this one as a shared object (.so)");
  }
  if (!hasPlace(machine_, relocation, target)) {
    return fail("is referred to at offset " + std::to_string(relocation.r_offset) + ", where there are no " +
                    std::to_string(kProdded) + " bytes to change",
                "; it is damaged");
  }
  return Done{};
}

}  // namespace splicehost::linker
