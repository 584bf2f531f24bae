#include "linker/elf_object.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

using test::Bytes;
using test::changeEntry;
using test::changeHeader;
using test::changeSection;

std::string headerProblem(const Bytes& object, Machine machine = kHostMachine) {
  Result<ElfObject> opened = ElfObject::open(object, machine);
  return opened ? "none" : opened.error().message;
}

std::string problem(const Bytes& object, Machine machine = kHostMachine) {
  Status checked = checkObject(object, machine);
  return checked ? "none" : checked.error().message;
}

// The problem of a sound object after a change to a section's header, which the shallow check has
// to find as well.
template <typename Change>
std::string sectionProblem(const char* section, Change change) {
  Bytes object = test::sampleObject();
  changeSection(object, section, change);
  EXPECT_EQ(headerProblem(object), problem(object));
  return problem(object);
}

std::string sectionLabel(const char* name) {
  return "section " + std::to_string(test::sectionIndex(test::sampleObject(), name)) + " (" + name + ")";
}

std::string sectionCount() { return std::to_string(test::loadAt<Elf64_Ehdr>(test::sampleObject(), 0).e_shnum); }

TEST(ElfObject, AcceptsWhatTheCompilerWrites) {
  const test::TemporaryDirectory directory;
  for (const char* options : {"-O0", "-O2 -fPIC", "-O2 -g", "-ffunction-sections -fdata-sections -g3 -fcommon",
                              "-mcmodel=large", "-gz -g", "-x assembler", "-x c++ -O2 -g"}) {
    const std::string source = std::string(options) == "-x assembler" ? "" : test::kSource;
    const std::string language = std::string(options).starts_with("-x") ? "" : "-x c ";
    const std::string path = directory.compile(
        "x.o", std::string(options).starts_with("-x c++") ? "#include <map>\nstd::map<int, int> m;" : source,
        language + options);
    EXPECT_EQ(problem(test::readFile(path)), "none") << options;
  }
}

TEST(ElfObject, AcceptsWhatLdStripAndObjcopyMakeOfIt) {
  const test::TemporaryDirectory directory;
  directory.compile("a.o", test::kSource, "-x c -g -ffunction-sections");
  directory.compile("b.o", "int elsewhere(int n) { return n; }", "-x c -g");
  for (const char* command : {"ld -r -o made.o a.o b.o", "strip -g -o made.o a.o",
                              "strip --strip-unneeded -o made.o a.o", "objcopy --compress-debug-sections a.o made.o"}) {
    directory.run(command);
    EXPECT_EQ(problem(test::readFile(directory.file("made.o"))), "none") << command;
  }
}

TEST(ElfObject, NeedsNoAlignment) {
  const Bytes object = test::sampleObject();
  Bytes shifted(object.size() + 1);
  std::copy(object.begin(), object.end(), shifted.begin() + 1);
  EXPECT_TRUE(checkObject(std::span(shifted).subspan(1), kHostMachine).ok());
}

TEST(ElfObject, ListsSymbols) {
  const Bytes bytes = test::sampleObject();
  Result<ElfObject> object = ElfObject::open(bytes, kHostMachine);
  ASSERT_TRUE(object.ok());
  std::map<std::string, ElfSymbol> symbols;
  for (size_t i = 0; i < object->symbolCount(); ++i) {
    Result<ElfSymbol> symbol = object->symbol(i);
    ASSERT_TRUE(symbol.ok()) << symbol.error().message;
    symbols[std::string(symbol->name)] = *symbol;
  }
  EXPECT_EQ(symbols.at("work").binding, SymbolBinding::kGlobal);
  EXPECT_EQ(symbols.at("work").place, SymbolPlace::kSection);
  EXPECT_EQ(object->sectionName(symbols.at("work").section), ".text");
  EXPECT_GT(symbols.at("work").size, 0u);
  EXPECT_EQ(symbols.at("perhaps").binding, SymbolBinding::kWeak);
  EXPECT_EQ(symbols.at("elsewhere").place, SymbolPlace::kUndefined);
  EXPECT_EQ(symbols.at("shared_uninitialised").place, SymbolPlace::kCommon);
  EXPECT_EQ(symbols.at("shared_uninitialised").size, sizeof(int));
  EXPECT_EQ(symbols.at("pointer").size, sizeof(void*));
  EXPECT_EQ(object->sectionContent(symbols.at("pointer").section).size() % sizeof(void*), 0u);
}

TEST(ElfObject, FollowsExtendedSectionNumbers) {
  // More sections than 16-bit numbers have room for: the gABI's extended numbering.
  std::string source;
  constexpr int kSections = 0xff00 + 10;
  for (int i = 0; i < kSections; ++i) source += ".section s" + std::to_string(i) + ",\"a\"\n.byte 0\n";
  source += ".globl last\nlast: .quad outside\n";
  const test::TemporaryDirectory directory;
  Bytes bytes = test::readFile(directory.compile("many.o", source, "-x assembler"));
  EXPECT_EQ(problem(bytes), "none");

  Result<ElfObject> object = ElfObject::open(bytes, kHostMachine);
  ASSERT_TRUE(object.ok()) << object.error().message;
  EXPECT_GT(object->sectionCount(), uint32_t{kSections});
  bool found = false;
  size_t table = 0;
  for (size_t i = 0; i < object->symbolCount(); ++i) {
    Result<ElfSymbol> symbol = object->symbol(i);
    ASSERT_TRUE(symbol.ok());
    if (symbol->name != "last") continue;
    found = true;
    EXPECT_EQ(object->sectionName(symbol->section), "s" + std::to_string(kSections - 1));
  }
  EXPECT_TRUE(found);

  for (uint32_t i = 1; i < object->sectionCount(); ++i) {
    if (object->sectionHeader(i).sh_type == SHT_SYMTAB_SHNDX) table = i;
  }
  ASSERT_NE(table, 0u);
  const Elf64_Shdr header = object->sectionHeader(table);
  const size_t place = test::sectionHeaderOffset(bytes, table);
  Bytes changed = bytes;
  Elf64_Shdr other = header;
  other.sh_type = SHT_PROGBITS;
  test::storeAt(changed, place, other);
  EXPECT_NE(problem(changed).find("has an extended section index, but the object has no table"), std::string::npos);
  changed = bytes;
  other = header;
  other.sh_size -= 4;
  test::storeAt(changed, place, other);
  EXPECT_NE(headerProblem(changed).find("the table of extended section indices has "), std::string::npos);
  changed = bytes;
  for (uint64_t i = 0; i < header.sh_size; i += 4) test::storeAt(changed, header.sh_offset + i, uint32_t{0x7fffffff});
  EXPECT_NE(problem(changed).find("is in section 2147483647 of "), std::string::npos);
}

TEST(ElfObject, SaysWhatAnotherFileIs) {
  EXPECT_EQ(headerProblem({}), "this is an empty file, not a relocatable object");
  EXPECT_EQ(headerProblem(test::toBytes("BC\xC0\xDE")), "this is LLVM bitcode, not a relocatable object");
  Bytes object = test::sampleObject();
  const std::string host(machineName(kHostMachine));
  const Machine other = kHostMachine == Machine::kX86_64 ? Machine::kAArch64 : Machine::kX86_64;
  EXPECT_EQ(headerProblem(object, other),
            "this is a relocatable object (ET_REL) for " + host + ", not for " + std::string(machineName(other)));
  changeHeader(object, [](Elf64_Ehdr& header) { header.e_type = ET_DYN; });
  EXPECT_EQ(headerProblem(object), "this is a shared object (ET_DYN) for " + host + ", not a relocatable object");
  changeHeader(object, [](Elf64_Ehdr& header) { header.e_ident[EI_CLASS] = ELFCLASS32; });
  EXPECT_EQ(headerProblem(object), "this is a 32-bit ELF file, not a 64-bit little-endian one");
  object.resize(20);
  EXPECT_EQ(headerProblem(object), "the file ends inside the ELF header, after 20 of its 64 bytes");
}

TEST(ElfObject, KnowsTheOtherMachine) {
  const Machine other = kHostMachine == Machine::kX86_64 ? Machine::kAArch64 : Machine::kX86_64;
  Bytes object = test::sampleObject();
  changeHeader(object, [&](Elf64_Ehdr& header) { header.e_machine = static_cast<Elf64_Half>(other); });
  EXPECT_EQ(problem(object, other), "none");
}

TEST(ElfObject, SaysWhatIsWrongWithTheSectionTable) {
  const auto change = [](auto changes) {
    Bytes object = test::sampleObject();
    changeHeader(object, changes);
    return headerProblem(object);
  };
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shoff = 0; }), "the object has no section table");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shentsize = 40; }), "section table entries are 40 bytes, not 64");
  const size_t size = test::sampleObject().size();
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shoff = ~0ull; }),
            "the section table at offset 18446744073709551615 is past the end of the file, which "
            "has " +
                std::to_string(size) + " bytes");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shnum += 2; }),
            "the section table has " + std::to_string(std::stoi(sectionCount()) + 2) + " entries, of which only " +
                sectionCount() + " are in the file");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shnum = 0; }), "the section table is empty");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shoff += 64, --header.e_shnum; }),
            "the section table does not start with the null section");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shstrndx = 0; }), "the object has no table of section names");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shstrndx = 1000; }),
            "section 1000 should hold the section names, but there are only " + sectionCount() + " sections");
  EXPECT_EQ(change([](Elf64_Ehdr& header) { header.e_shstrndx = 1; }),
            "section 1 should hold the section names, but is of type 1");
}

TEST(ElfObject, SaysWhatIsWrongWithASection) {
  const Bytes object = test::sampleObject();
  const uint64_t size = object.size();
  EXPECT_EQ(sectionProblem(".text",
                           [&](Elf64_Shdr& header) {
                             header.sh_offset = size - 8;
                             header.sh_size = 96;
                           }),
            sectionLabel(".text") + " reaches 88 bytes past the end");
  EXPECT_EQ(sectionProblem(".text",
                           [&](Elf64_Shdr& header) {
                             header.sh_offset = ~0ull;
                             header.sh_size = 96;
                           }),
            sectionLabel(".text") + " has the impossible offset 18446744073709551615 and size 96");
  EXPECT_EQ(sectionProblem(".data", [](Elf64_Shdr& header) { header.sh_addralign = 12; }),
            sectionLabel(".data") + " has alignment 12, which is no power of two");
  EXPECT_EQ(sectionProblem(".bss", [](Elf64_Shdr& header) { header.sh_size = 1ull << 40; }),
            sectionLabel(".bss") + " needs 1099511627776 zero bytes; a linker has 2 GiB of address space for all");
  EXPECT_TRUE(sectionProblem(".text", [](Elf64_Shdr& header) {
                header.sh_name = 1 << 20;
              }).starts_with("section 1 has its name at 1048576 of a table of "));
  EXPECT_TRUE(sectionProblem(".shstrtab", [](Elf64_Shdr& header) {
                --header.sh_size;
              }).ends_with(": the section names do not end with a zero byte"));
  EXPECT_TRUE(sectionProblem(".shstrtab", [&](Elf64_Shdr& header) {
                header.sh_size = size;
              }).find(" bytes past the end") != std::string::npos);
}

TEST(ElfObject, SaysWhatIsWrongWithTheSymbolTable) {
  const std::string label = sectionLabel(".symtab");
  EXPECT_EQ(sectionProblem(".symtab", [](Elf64_Shdr& header) { header.sh_entsize = 16; }),
            label + " has symbols of 16 bytes, not 24");
  EXPECT_TRUE(sectionProblem(".symtab", [](Elf64_Shdr& header) {
                --header.sh_size;
              }).ends_with(" bytes, no multiple of a symbol's 24"));
  EXPECT_EQ(sectionProblem(".symtab", [](Elf64_Shdr& header) { header.sh_link = 0; }),
            label + " links to section 0 for its names, of " + sectionCount());
  EXPECT_EQ(sectionProblem(".symtab", [](Elf64_Shdr& header) { header.sh_link = 1; }),
            label + " links to section 1 for its names, which is no string table");

  Bytes object = test::sampleObject();
  changeSection(object, ".comment", [](Elf64_Shdr& header) { header.sh_type = SHT_SYMTAB; });
  EXPECT_NE(headerProblem(object), "none");

  object = test::sampleObject();
  changeSection(object, ".strtab", [](Elf64_Shdr& header) { --header.sh_size; });
  EXPECT_EQ(headerProblem(object), "none");
  EXPECT_EQ(problem(object), sectionLabel(".strtab") + ": the symbol names do not end with a zero byte");
}

TEST(ElfObject, SaysWhatIsWrongWithASymbol) {
  const std::string label = sectionLabel(".symtab") + ": symbol ";
  const auto change = [](auto accept, auto changes) {
    Bytes object = test::sampleObject();
    const size_t index = changeEntry<Elf64_Sym>(object, ".symtab", accept, changes);
    EXPECT_NE(index, SIZE_MAX);
    EXPECT_EQ(headerProblem(object), "none");
    return std::pair(std::to_string(index), problem(object));
  };
  const auto named = [](const Elf64_Sym& symbol) { return symbol.st_name != 0; };
  const auto common = [](const Elf64_Sym& symbol) { return symbol.st_shndx == SHN_COMMON; };

  auto [index, found] = change(named, [](Elf64_Sym& symbol) { symbol.st_name = 1 << 20; });
  EXPECT_TRUE(found.starts_with(label + index + " has its name at 1048576 of a table of "));
  std::tie(index, found) = change(named, [](Elf64_Sym& symbol) { symbol.st_shndx = 200; });
  EXPECT_EQ(found, label + index + " is in section 200 of " + sectionCount());
  std::tie(index, found) = change(named, [](Elf64_Sym& symbol) { symbol.st_shndx = SHN_XINDEX; });
  EXPECT_EQ(found, label + index + " has an extended section index, but the object has no table of them");
  std::tie(index, found) = change(common, [](Elf64_Sym& symbol) { symbol.st_size = ~0ull; });
  EXPECT_EQ(found, label + index +
                       " needs 18446744073709551615 bytes of common storage; a linker has 2 GiB of "
                       "address space for all");
}

TEST(ElfObject, SaysWhatIsWrongWithARelocationSection) {
  const std::string label = sectionLabel(".rela.text");
  EXPECT_EQ(sectionProblem(".rela.text", [](Elf64_Shdr& header) { header.sh_entsize = 8; }),
            label + " has relocations of 8 bytes, not 24");
  EXPECT_TRUE(sectionProblem(".rela.text", [](Elf64_Shdr& header) {
                ++header.sh_size;
              }).ends_with(" bytes, no multiple of a relocation's 24"));
  EXPECT_EQ(sectionProblem(".rela.text", [](Elf64_Shdr& header) { header.sh_link = 0; }),
            label + " has no symbol table; the object has probably been stripped");
  for (const Elf64_Word link : {1u, 1000u}) {
    EXPECT_EQ(sectionProblem(".rela.text", [&](Elf64_Shdr& header) { header.sh_link = link; }),
              label + " links to section " + std::to_string(link) + " for its symbols, which is no symbol table");
  }
  for (const Elf64_Word target : {0u, 1000u}) {
    EXPECT_EQ(sectionProblem(".rela.text", [&](Elf64_Shdr& header) { header.sh_info = target; }),
              label + " applies to section " + std::to_string(target) + ", of " + sectionCount());
  }
}

TEST(ElfObject, SaysWhatIsWrongWithARelocation) {
  const std::string label = sectionLabel(".rela.text") + ": relocation 0";
  const auto change = [](auto changes) {
    Bytes object = test::sampleObject();
    changeEntry<Elf64_Rela>(
        object, ".rela.text", [](const Elf64_Rela&) { return true; }, changes);
    EXPECT_EQ(headerProblem(object), "none");
    return problem(object);
  };
  EXPECT_TRUE(change([](Elf64_Rela& relocation) {
                relocation.r_info |= ELF64_R_INFO(9999ull, 0);
              }).starts_with(label + " refers to symbol "));

  const Bytes object = test::sampleObject();
  const uint64_t size =
      test::loadAt<Elf64_Shdr>(object, test::sectionHeaderOffset(object, test::sectionIndex(object, ".text"))).sh_size;
  // A type, and how many bytes it changes.
  const std::pair<uint32_t, uint64_t> kTypes[] = {
      {R_X86_64_NONE, 0}, {R_X86_64_8, 1}, {R_X86_64_PC16, 2}, {R_X86_64_PC32, 4}, {R_X86_64_64, 8}};
  for (const auto& [type, width] : kTypes) {
    if (kHostMachine != Machine::kX86_64) break;
    const auto place = [&, type = type](uint64_t offset) {
      return change([&](Elf64_Rela& relocation) {
        relocation.r_offset = offset;
        relocation.r_info = ELF64_R_INFO(1ull, type);
      });
    };
    EXPECT_EQ(place(size - width), "none") << type;
    EXPECT_EQ(place(size - width + 1), label + " (type " + std::to_string(type) + ") changes " + std::to_string(width) +
                                           " bytes at offset " + std::to_string(size - width + 1) + " of " +
                                           sectionLabel(".text") + ", which has " + std::to_string(size));
    EXPECT_NE(place(~0ull), "none");
  }
}

TEST(ElfObject, WhatIsNotLoadedMayBeAnything) {
  const test::TemporaryDirectory directory;
  for (const char* options : {"-g3 -Wa,--compress-debug-sections=zlib-gnu", "-g3 -gz=zlib", "-g -gsplit-dwarf",
                              "-O1 -flto -ffat-lto-objects"}) {
    const std::string language = "-x c ";
    EXPECT_EQ(problem(test::readFile(directory.compile("x.o", test::kSource, language + options))), "none") << options;
  }
  const std::string group =
      ".section .text.f,\"axG\",@progbits,f,comdat\nf: ret\n"
      ".section .llvm_addrsig,\"e\",@0x6fff4c03\n.byte 1\n"
      ".section .deplibs,\"MS\",@0x6fff4c04,1\n.asciz \"m\"\n";
  EXPECT_EQ(problem(test::readFile(directory.compile("y.o", group, "-x assembler"))), "none");

  Bytes changed = test::readFile(directory.compile("z.o", test::kSource, "-x c -g"));
  changeEntry<Elf64_Rela>(
      changed, ".rela.debug_info", [](const Elf64_Rela&) { return true; },
      [](Elf64_Rela& relocation) {
        relocation = {~0ull, ~0ull, -1};
      });
  for (const char* name : {".debug_info", ".debug_str", ".comment", ".note.GNU-stack"}) {
    changeSection(changed, name, [](Elf64_Shdr& header) {
      header.sh_type = 0x70000042;
      header.sh_offset = ~0ull;
      header.sh_size = 7;
      header.sh_addralign = 3;
    });
  }
  EXPECT_EQ(problem(changed), "none");
  // What is loaded is checked, whatever surrounds it.
  changeSection(changed, ".text", [](Elf64_Shdr& header) { header.sh_offset = ~0ull; });
  EXPECT_NE(problem(changed).find("(.text) has the impossible offset"), std::string::npos);
}

TEST(ElfObject, CutShortAnywhereIsAnError) {
  // The section table is the last thing in an object that the GNU assembler writes.
  const Bytes whole = test::sampleObject();
  for (size_t size = 0; size < whole.size(); size += 64) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    EXPECT_NE(headerProblem(cut), "none") << size;
  }
}

TEST(ElfObject, ChangedAnywhereIsNeverReadOutOfBounds) {
  const Bytes whole = test::sampleObject();
  const auto header = test::loadAt<Elf64_Ehdr>(whole, 0);
  std::mt19937 random(4711);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes changed = whole;
    // Most of what matters is in the first header and in the section table.
    for (int i = 0; i < 3; ++i) {
      const size_t start[] = {0, header.e_shoff, 0};
      const size_t length[] = {64, whole.size() - header.e_shoff, whole.size()};
      const size_t where = random() % 3;
      changed[start[where] + random() % length[where]] = std::byte(random() % 256);
    }
    Result<ElfObject> object = ElfObject::open(changed, kHostMachine);
    if (!object || !object->checkContents()) continue;
    ++accepted;
    // What was found sound can be used.
    for (size_t i = 0; i < object->symbolCount(); ++i) EXPECT_TRUE(object->symbol(i).ok());
    for (uint32_t i = 0; i < object->sectionCount(); ++i) {
      (void)object->sectionName(i);
      const std::span<const std::byte> content = object->sectionContent(i);
      EXPECT_LE(content.size(), changed.size());
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace splicehost::linker
