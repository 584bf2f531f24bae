#include "linker/file_kind.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace splicehost::linker {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view start;
  std::string_view description;
};

// Sources: ar(5) for archives; the LLVM bitcode file format's "magic numbers" and "wrapper"
// sections; <mach-o/loader.h> and <mach-o/fat.h>; the PE/COFF specification, machine types;
// GHC 9.0.2 compiler/GHC/Iface/Binary.hs (binaryInterfaceMagic) for interface files.
constexpr Signature kSignatures[] = {
    {"!<arch>\n"sv, "an ar archive"},
    {"!<thin>\n"sv, "a thin ar archive"},
    {"BC\xC0\xDE"sv, "LLVM bitcode"},
    {"\xDE\xC0\x17\x0B"sv, "LLVM bitcode (with a wrapper header)"},
    {"\xCE\xFA\xED\xFE"sv, "a 32-bit Mach-O file"},
    {"\xCF\xFA\xED\xFE"sv, "a Mach-O file"},
    {"\xCA\xFE\xBA\xBE"sv, "a Mach-O universal file (or a Java class)"},
    {"MZ"sv, "a PE file"},
    {"\x64\x86"sv, "a COFF object for x86-64 Windows"},
    {"\x64\xAA"sv, "a COFF object for AArch64 Windows"},
    {"\x4C\x01"sv, "a COFF object for 32-bit Windows"},
    {"\x01\xFA\xCE\x64"sv, "a GHC interface file"},
    {"version https://git-lfs"sv, "a Git LFS pointer whose content was not fetched"},
    {"\x1F\x8B"sv, "a gzip-compressed file"},
    {"\x28\xB5\x2F\xFD"sv, "a zstd-compressed file"},
    {"\xFD"
     "7zXZ"sv,
     "an xz-compressed file"},
};

// How much of a file's start decides whether it is text.
constexpr size_t kTextSample = 512;

bool isTextByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 ? byte != 0x7F : (c == '\n' || c == '\r' || c == '\t' || c == '\f');
}

std::string elfMachineName(uint16_t machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "AArch64";
    case EM_386:
      return "32-bit x86";
    case EM_ARM:
      return "32-bit ARM";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "64-bit PowerPC";
    case EM_S390:
      return "S/390";
    default:
      return "machine number " + std::to_string(machine);
  }
}

std::string elfTypeName(uint16_t type) {
  switch (type) {
    case ET_REL:
      return "a relocatable object (ET_REL)";
    case ET_EXEC:
      return "an executable (ET_EXEC)";
    case ET_DYN:
      return "a shared object (ET_DYN)";
    case ET_CORE:
      return "a core dump (ET_CORE)";
    default:
      return "an ELF file of type " + std::to_string(type);
  }
}

std::string describeElf(std::string_view content) {
  // e_ident, e_type and e_machine lie at the same places in 32-bit and 64-bit files.
  if (content.size() < offsetof(Elf64_Ehdr, e_version)) return "a truncated ELF file";
  const auto ident = [&](int index) { return static_cast<unsigned char>(content[index]); };
  if (ident(EI_CLASS) == ELFCLASS32) return "a 32-bit ELF file";
  if (ident(EI_CLASS) != ELFCLASS64) return "an ELF file of neither 32 nor 64 bits";
  if (ident(EI_DATA) == ELFDATA2MSB) return "a big-endian ELF file";
  if (ident(EI_DATA) != ELFDATA2LSB) return "an ELF file of unknown byte order";
  uint16_t type, machine;
  std::memcpy(&type, content.data() + offsetof(Elf64_Ehdr, e_type), sizeof type);
  std::memcpy(&machine, content.data() + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
  return elfTypeName(type) + " for " + elfMachineName(machine);
}

bool looksLikeLinkerScript(std::string_view sample) {
  return sample.find("GNU ld script") != sample.npos || sample.starts_with("INPUT") || sample.starts_with("GROUP") ||
         sample.find("OUTPUT_FORMAT") != sample.npos || sample.find("\nINPUT") != sample.npos ||
         sample.find("\nGROUP") != sample.npos;
}

}  // namespace

std::string_view machineName(Machine machine) { return machine == Machine::kX86_64 ? "x86-64" : "AArch64"; }

std::string describeContent(std::span<const std::byte> file) {
  const std::string_view content(reinterpret_cast<const char*>(file.data()), file.size());
  if (content.empty()) return "an empty file";
  if (content.starts_with("\x7F"
                          "ELF")) {
    return describeElf(content);
  }
  for (const Signature& signature : kSignatures) {
    if (content.starts_with(signature.start)) return std::string(signature.description);
  }

  const std::string_view sample = content.substr(0, kTextSample);
  if (std::all_of(sample.begin(), sample.end(), isTextByte)) {
    return looksLikeLinkerScript(sample) ? "a linker script" : "a text file";
  }
  // What is left of a file whose blocks were never written, after a crash or an aborted download.
  if (sample.find_first_not_of('\0') == sample.npos) return "a file that starts with zero bytes";
  return "a file of unknown format";
}

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 160;
  std::string result(text.substr(0, kLongest));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  if (text.size() > kLongest) result += "...";
  return result;
}

}  // namespace splicehost::linker
