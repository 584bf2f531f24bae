#include "linker/file_kind.h"

#include <gtest/gtest.h>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

using namespace std::string_literals;
using test::toBytes;

std::string describe(std::string_view content) { return describeContent(toBytes(content)); }

TEST(FileKind, NamesWhatAFileLooksLike) {
  EXPECT_EQ(describe(""), "an empty file");
  EXPECT_EQ(describe("!<arch>\nwhatever"), "an ar archive");
  EXPECT_EQ(describe("!<thin>\n"), "a thin ar archive");
  EXPECT_EQ(describe("BC\xC0\xDE rest"), "LLVM bitcode");
  EXPECT_EQ(describe("MZ\x90\x00"s), "a PE file");
  EXPECT_EQ(describe("\xCF\xFA\xED\xFE rest"), "a Mach-O file");
  EXPECT_EQ(describe("\x01\xFA\xCE\x64rest"), "a GHC interface file");
  EXPECT_EQ(describe("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
            "a Git LFS pointer whose content was not fetched");
  EXPECT_EQ(describe("/* GNU ld script\n*/\nGROUP ( libc.so.6 )\n"), "a linker script");
  EXPECT_EQ(describe("INPUT(-ltinfo)\n"), "a linker script");
  EXPECT_EQ(describe("module Main where\n"), "a text file");
  EXPECT_EQ(describe(std::string(4096, '\0')), "a file that starts with zero bytes");
  EXPECT_EQ(describe("\x02\x03\x04\x05\xFF"), "a file of unknown format");
}

TEST(FileKind, NamesTheKindOfElfFile) {
  test::Bytes object = test::sampleObject();
  EXPECT_EQ(describeContent(object), "a relocatable object (ET_REL) for " + std::string(machineName(kHostMachine)));
  test::changeHeader(object, [](Elf64_Ehdr& header) { header.e_type = ET_DYN; });
  test::changeHeader(object, [](Elf64_Ehdr& header) { header.e_machine = EM_RISCV; });
  EXPECT_EQ(describeContent(object), "a shared object (ET_DYN) for RISC-V");
  test::changeHeader(object, [](Elf64_Ehdr& header) { header.e_type = ET_EXEC; });
  test::changeHeader(object, [](Elf64_Ehdr& header) { header.e_machine = 4711; });
  EXPECT_EQ(describeContent(object), "an executable (ET_EXEC) for machine number 4711");
  test::changeHeader(object, [](Elf64_Ehdr& header) { header.e_ident[EI_DATA] = ELFDATA2MSB; });
  EXPECT_EQ(describeContent(object), "a big-endian ELF file");
  test::changeHeader(object, [](Elf64_Ehdr& header) { header.e_ident[EI_CLASS] = ELFCLASS32; });
  EXPECT_EQ(describeContent(object), "a 32-bit ELF file");
  object.resize(10);
  EXPECT_EQ(describeContent(object), "a truncated ELF file");
}

TEST(FileKind, MakesTextFitForAMessage) {
  EXPECT_EQ(printable("Foo.o"), "Foo.o");
  EXPECT_EQ(printable("a\nb\x80\x7F"), "a?b??");
  EXPECT_EQ(printable(std::string(1000, 'x')), std::string(160, 'x') + "...");
}

}  // namespace
}  // namespace splicehost::linker
