#include <gtest/gtest.h>

#include "linker/elf_object.h"
#include "test_inputs.h"

namespace splicehost::linker {
namespace {

using test::Bytes;
using test::changeEntry;

constexpr char kDefined[] = "defined";

std::string problem(const Bytes& object) {
  Result<ElfObject> opened = ElfObject::open(object, kHostMachine);
  if (!opened) return "not sound: " + opened.error().message;
  if (Status sound = opened->checkContents(); !sound) return "not sound: " + sound.error().message;
  Status checked = opened->checkLinkable([](const char* symbol) { return symbol == std::string(kDefined); });
  return checked ? "none" : checked.error().message;
}

std::string problemOf(const std::string& source, const std::string& options) {
  const test::TemporaryDirectory directory;
  return problem(test::readFile(directory.compile("x.o", source, options)));
}

void expectIn(const std::string& problem, const char* words) {
  EXPECT_NE(problem.find(words), std::string::npos) << problem;
}

TEST(LinkCheck, AcceptsWhatCompilersWrite) {
  for (const char* options : {"-x c -O0", "-x c -O2 -fPIC", "-x c -O2 -fno-pic -g3 -fcommon",
                              "-x c -O2 -fPIC -fno-plt -ffunction-sections -fdata-sections"}) {
    EXPECT_EQ(problemOf(test::kSource, options), "none") << options;
  }
  EXPECT_EQ(problemOf("#include <map>\nstd::map<int, int> m; int f() { throw m[1]; }", "-x c++ -O2 -fPIC"), "none");
}

TEST(LinkCheck, NamesWeakReferencesToWhatIsNowhere) {
  for (const char* options : {"-x c -O1 -fno-pic", "-x c -O1 -fPIC"}) {
    const std::string found =
        problemOf("extern int g(void) __attribute__((weak)); int f(void) { return g ? g() : 0; }", options);
    expectIn(found, "symbol g is a weak reference");
    expectIn(found, "shared object");
    // Without one that is used, or with a definition here or elsewhere.
    for (const char* fine : {"extern int g(void) __attribute__((weak)); int f(void) { return 1; }",
                             "extern int defined(void) __attribute__((weak)); int f(void) { return defined ? 1 : 0; }",
                             "__attribute__((weak)) int g(void) { return 3; } int f(void) { return g(); }"}) {
      EXPECT_EQ(problemOf(fine, options), "none") << fine;
    }
  }
}

TEST(LinkCheck, NamesThreadLocalVariables) {
  const char source[] =
      "static _Thread_local int counter = 5; _Thread_local int other; extern _Thread_local int "
      "far;\n"
      "int f(int n) { counter += n; other += counter; return other + far; }\n";
  for (const char* options : {"-x c -O1 -fno-pic", "-x c -O1 -fPIC", "-x c -O1 -fPIC -ftls-model=initial-exec"}) {
    const std::string found = problemOf(source, options);
    expectIn(found, " is thread-local");
    expectIn(found, "shared object");
    expectIn(found, "(.rela.text): relocation ");
  }
  expectIn(problemOf("_Thread_local int counter; int f(void) { return counter; }", "-x c -O1"), "symbol counter is");
}

TEST(LinkCheck, NamesIndirectFunctions) {
  expectIn(problemOf("static int one(void) { return 1; }\n"
                     "static void* choose(void) { return one; }\n"
                     "static int chosen(void) __attribute__((ifunc(\"choose\")));\n"
                     "int f(void) { return chosen(); }\n",
                     "-x c -O1"),
           "symbol chosen is an indirect function (IFUNC)");
}

#if defined(__x86_64__)
TEST(LinkCheck, NamesLargeMemoryModels) {
  expectIn(problemOf("extern int far; int f(void) { return far; }", "-x c -O1 -fPIC -mcmodel=large"),
           "is referred to in a way that GHC's linker does not know");
}

TEST(LinkCheck, NamesWhatIsDamaged) {
  const auto damaged = [](auto change) {
    Bytes object = test::sampleObject();
    changeEntry<Elf64_Rela>(
        object, ".rela.text",
        [](const Elf64_Rela& relocation) { return ELF64_R_TYPE(relocation.r_info) != R_X86_64_32S; }, change);
    return problem(object);
  };
  expectIn(
      damaged([](Elf64_Rela& relocation) { relocation.r_info = ELF64_R_INFO(ELF64_R_SYM(relocation.r_info), 99); }),
      "(type 99): symbol ");
  expectIn(damaged([](Elf64_Rela& relocation) { relocation.r_addend = int64_t{1} << 40; }),
           "with an offset of 1099511627776 bytes");
  expectIn(damaged([](Elf64_Rela& relocation) {
             relocation.r_info = ELF64_R_INFO(ELF64_R_SYM(relocation.r_info), R_X86_64_GOTPCRELX);
             relocation.r_addend = INT32_MAX;
           }),
           "with an offset of 2147483647 bytes");
  expectIn(damaged([](Elf64_Rela& relocation) {
             relocation.r_info = ELF64_R_INFO(ELF64_R_SYM(relocation.r_info), R_X86_64_NONE);
             const Bytes object = test::sampleObject();
             relocation.r_offset =
                 ElfObject::open(object, kHostMachine)->sectionHeader(test::sectionIndex(object, ".text")).sh_size;
           }),
           "where there are no 4 bytes to change");
}

TEST(LinkCheck, NamesASymbolThatIsInNoSection) {
  Bytes object = test::sampleObject();
  const size_t changed = changeEntry<Elf64_Sym>(
      object, ".symtab", [](const Elf64_Sym& symbol) { return ELF64_ST_TYPE(symbol.st_info) == STT_SECTION; },
      [](Elf64_Sym& symbol) { symbol.st_shndx = SHN_ABS; });
  expectIn(problem(object), ("symbol " + std::to_string(changed) + " should stand for a section").c_str());

  object = test::sampleObject();
  // Symbol 1 is the file's name, which is local and absolute.
  changeEntry<Elf64_Rela>(
      object, ".rela.text", [](const Elf64_Rela&) { return true; },
      [](Elf64_Rela& relocation) { relocation.r_info = ELF64_R_INFO(1, ELF64_R_TYPE(relocation.r_info)); });
  expectIn(problem(object), "is local and in no section");
}
#endif

}  // namespace
}  // namespace splicehost::linker
