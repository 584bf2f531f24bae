// What the linker tests share: a temporary directory, real objects and archives made with the
// compiler and ar, and the means to damage them.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace splicehost::linker::test {

// Exactly as large as the content, so that the address sanitizer sees each access beyond it.
using Bytes = std::vector<std::byte>;

// A directory of its own for a test, removed with all its content.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  // These abort the test program if they fail. Each returns the path of what it made.
  std::string write(const std::string& name, std::string_view content) const;
  std::string write(const std::string& name, std::span<const std::byte> content) const;
  std::string compile(const std::string& name, const std::string& source, const std::string& options = "-x c") const;
  // Runs in the directory: archive("rcs", "libx.a", "a.o b.o").
  std::string archive(const std::string& operation, const std::string& name, const std::string& members) const;
  void run(const std::string& command) const;

 private:
  std::string path_;
};

Bytes readFile(const std::string& path);
Bytes toBytes(std::string_view text);

// A C file with code, data, .bss, and local, global, undefined and common symbols.
extern const char kSource[];

// Compiles kSource.
Bytes sampleObject();

template <typename T>
T loadAt(const Bytes& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
void storeAt(Bytes& bytes, size_t offset, const T& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// Changes the ELF header, the header of the named section, or the first entry of the section's
// content that a predicate accepts.
template <typename Change>
void changeHeader(Bytes& object, Change change) {
  auto header = loadAt<Elf64_Ehdr>(object, 0);
  change(header);
  storeAt(object, 0, header);
}

uint32_t sectionIndex(const Bytes& object, std::string_view name);
size_t sectionHeaderOffset(const Bytes& object, uint32_t index);

template <typename Change>
void changeSection(Bytes& object, std::string_view name, Change change) {
  const size_t offset = sectionHeaderOffset(object, sectionIndex(object, name));
  auto header = loadAt<Elf64_Shdr>(object, offset);
  change(header);
  storeAt(object, offset, header);
}

template <typename Entry, typename Accept, typename Change>
size_t changeEntry(Bytes& object, std::string_view section, Accept accept, Change change) {
  const auto header = loadAt<Elf64_Shdr>(object, sectionHeaderOffset(object, sectionIndex(object, section)));
  for (size_t i = 0; i < header.sh_size / sizeof(Entry); ++i) {
    const size_t offset = header.sh_offset + i * sizeof(Entry);
    auto entry = loadAt<Entry>(object, offset);
    if (!accept(entry)) continue;
    change(entry);
    storeAt(object, offset, entry);
    return i;
  }
  return SIZE_MAX;
}

}  // namespace splicehost::linker::test
