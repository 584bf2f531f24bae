#include "test_inputs.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace splicehost::linker::test {
namespace {

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "cannot make a test's input: %s\n", what.c_str());
  std::abort();
}

}  // namespace

const char kSource[] = R"(
extern int elsewhere(int);
extern int outside;
int shared_uninitialised;
__attribute__((weak)) int perhaps(void) { return 1; }
static int counter = 5;
static int zeros[100];
static const char *names[] = {"one", "two", "three"};
int (*pointer)(int) = elsewhere;
static int helper(int n) { return n + counter + zeros[n]; }
int work(int n) { return elsewhere(helper(n)) + outside + shared_uninitialised + names[n][0]; }
)";

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "linker-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) fail("a temporary directory");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, std::string_view content) const {
  const std::string path = file(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string TemporaryDirectory::write(const std::string& name, std::span<const std::byte> content) const {
  return write(name, std::string_view(reinterpret_cast<const char*>(content.data()), content.size()));
}

std::string TemporaryDirectory::compile(const std::string& name, const std::string& source,
                                        const std::string& options) const {
  const std::string input = write(name + ".input", source);
  run(std::string(TEST_COMPILER) + " " + options + " -c -o '" + name + "' '" + input + "'");
  return file(name);
}

std::string TemporaryDirectory::archive(const std::string& operation, const std::string& name,
                                        const std::string& members) const {
  run(std::string(TEST_ARCHIVER) + " " + operation + " '" + name + "' " + members);
  return file(name);
}

void TemporaryDirectory::run(const std::string& command) const {
  if (std::system(("cd '" + path_ + "' && " + command).c_str()) != 0) fail(command);
}

Bytes readFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(path);
  const std::string content((std::istreambuf_iterator<char>(stream)), {});
  return toBytes(content);
}

Bytes toBytes(std::string_view text) {
  Bytes bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

Bytes sampleObject() {
  static const Bytes object = [] {
    const TemporaryDirectory directory;
    return readFile(directory.compile("sample.o", kSource, "-x c -O1 -fcommon -fno-pic"));
  }();
  return object;
}

size_t sectionHeaderOffset(const Bytes& object, uint32_t index) {
  return loadAt<Elf64_Ehdr>(object, 0).e_shoff + index * sizeof(Elf64_Shdr);
}

uint32_t sectionIndex(const Bytes& object, std::string_view name) {
  const auto header = loadAt<Elf64_Ehdr>(object, 0);
  const auto names = loadAt<Elf64_Shdr>(object, sectionHeaderOffset(object, header.e_shstrndx));
  for (uint32_t i = 1; i < header.e_shnum; ++i) {
    const auto section = loadAt<Elf64_Shdr>(object, sectionHeaderOffset(object, i));
    const auto* start = reinterpret_cast<const char*>(object.data() + names.sh_offset + section.sh_name);
    if (name == start) return i;
  }
  fail("no section " + std::string(name));
}

}  // namespace splicehost::linker::test
