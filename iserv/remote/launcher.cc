// launch-interpreter: what starts an interpreter on a machine that has no GHC.
//
// It lies beside the interpreter, in a directory made for a target (ways/install-target). The program that it starts is
// "interpreter" with the same suffix as its own name has. An interpreter is linked with GHC's shared objects (in the
// dynamic way) and with libraries of C, which lie in that directory, too. They are found through the loader's
// --library-path: by the interpreter and by what it loads, and not by programs that splices run.
//
// The machine's own C library is used if it is at least as new as the one that the interpreter was linked with.
// Otherwise, and where there is none, it is the directory's.

#include <elf.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "iserv/base/file_view.h"
#include "linker/mapped_file.h"

namespace {

namespace fs = std::filesystem;
using splicehost::linker::MappedFile;

std::string_view view(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// The path of the loader that a program names.
std::string loaderOf(const std::string& program) {
  auto file = MappedFile::open(program);
  Elf64_Ehdr header;
  if (!file || file->bytes().size() < sizeof header) return "";
  std::string_view bytes = view(*file);
  std::memcpy(&header, bytes.data(), sizeof header);
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    uint64_t at = header.e_phoff + static_cast<uint64_t>(i) * sizeof segment;
    if (at + sizeof segment > bytes.size()) return "";
    std::memcpy(&segment, bytes.data() + at, sizeof segment);
    if (segment.p_type != PT_INTERP || segment.p_offset >= bytes.size()) continue;
    std::string_view path = bytes.substr(segment.p_offset, segment.p_filesz);
    return std::string(path.substr(0, path.find('\0')));
  }
  return "";
}

// The version of a GNU C library or its loader, which both say in their banner, as a number: 2036 for 2.36.
int versionOf(const std::string& path) {
  auto file = MappedFile::open(path);
  constexpr std::string_view kBanner = "release version ";
  if (!file) return 0;
  std::string_view bytes = view(*file);
  size_t at = bytes.find(kBanner);
  int major = 0, minor = 0;
  if (at == bytes.npos) return 0;
  std::string text(bytes.substr(at + kBanner.size(), 16));
  return std::sscanf(text.c_str(), "%d.%d", &major, &minor) == 2 ? major * 1000 + minor : 0;
}

// The compiler's locale may not be one of this machine's. What matters to interpreted code is mostly how characters are
// encoded.
void chooseLocale(const std::string& bundled) {
  if (setlocale(LC_CTYPE, "") != nullptr) return;
  std::string name;
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (const char* value = getenv(variable); name.empty() && value != nullptr) name = value;
  }
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name.find("utf-8") == name.npos && name.find("utf8") == name.npos) return;
  setenv("LC_ALL", "C.UTF-8", 1);
  if (setlocale(LC_CTYPE, "") == nullptr) setenv("LOCPATH", bundled.c_str(), 1);
}

}  // namespace

int main(int argc, char* argv[]) {
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) self = fs::absolute(argv[0]);
  std::string directory = self.parent_path();
  std::string name = self.filename();
  constexpr std::string_view kStart = "launch-";
  std::string program = directory + "/" + (name.starts_with(kStart) ? name.substr(kStart.size()) : name);

  // Sessions show files at paths of another machine, if they can.
  (void)splicehost::gainMountRights().ok();

  std::string loader = loaderOf(program);
  std::string bundled = directory + "/system/" + loader.substr(loader.rfind('/') + 1);
  std::string libraries = directory + "/lib";
  if (access(loader.c_str(), X_OK) != 0 || versionOf(loader) < versionOf(bundled)) {
    loader = bundled;
    libraries += ":" + directory + "/system";
  }
  chooseLocale(directory + "/system/locale");
  std::vector<std::string> words = {loader, "--argv0", argv[0], "--library-path", libraries, program};
  for (int i = 1; i < argc; ++i) words.emplace_back(argv[i]);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(loader.c_str(), arguments.data());
  std::fprintf(stderr, "splicehost: %s: %s\n", loader.c_str(), std::strerror(errno));
  return 1;
}
