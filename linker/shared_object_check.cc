#include "linker/shared_object_check.h"

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "linker/mapped_file.h"

namespace splicehost::linker {
namespace {

Error cutShort(const std::string& path, const std::string& what, uint64_t end, uint64_t size) {
  return Error{path + ": the file is cut short: " + what + " should reach to byte " + std::to_string(end) +
               ", but there are " + std::to_string(size)};
}

bool isInFile(uint64_t offset, uint64_t bytes, uint64_t size) { return offset <= size && bytes <= size - offset; }

}  // namespace

Status checkSharedObject(const std::string& path) {
  if (path.find('/') == path.npos) return Done{};
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return Done{};
  const std::span<const std::byte> bytes = file->bytes();
  Elf64_Ehdr header;
  if (bytes.size() < sizeof header) return Done{};
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return Done{};
  }
  const uint64_t tableSize = uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (!isInFile(header.e_phoff, tableSize, bytes.size())) {
    return cutShort(path, "its table of program headers", header.e_phoff + tableSize, bytes.size());
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC) continue;
    if (!isInFile(segment.p_offset, segment.p_filesz, bytes.size())) {
      return cutShort(path, "segment " + std::to_string(i), segment.p_offset + segment.p_filesz, bytes.size());
    }
  }
  return Done{};
}

}  // namespace splicehost::linker
