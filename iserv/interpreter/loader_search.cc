#include "iserv/interpreter/loader_search.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "iserv/base/file_signature.h"
#include "linker/mapped_file.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

constexpr const char* kCache = "/etc/ld.so.cache";
constexpr const char* kPreload = "/etc/ld.so.preload";
// Where the C library looks for locales, if LOCPATH does not say otherwise (glibc, locale/loadarchive.c).
constexpr const char* kLocales = "/usr/lib/locale";
// The loader's own, in Debian and in others. Those that it really has are told by dlinfo(), if they exist.
constexpr const char* kSystemDirectories =
    "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib";
// What $LIB may stand for.
constexpr const char* kLib[] = {"lib/x86_64-linux-gnu", "lib64", "lib"};
// Subdirectories for kinds of processors: glibc-hwcaps has some, and up to glibc 2.36 the others may be nested.
constexpr const char* kHardware = "glibc-hwcaps";
constexpr const char* kLevels[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4"};
constexpr const char* kNested[] = {"tls", "haswell", "avx512_1", "xeon_phi", "x86_64"};
// How much older than a load a file must be, to be sure that it was not changed since. Clocks of file systems tick
// every few milliseconds.
constexpr int64_t kTickNs = 50'000'000;
// Differs from every file's.
constexpr linker::FileSignature kGone{.inode = UINT64_MAX};

std::string nameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string directoryOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The words of a list in which any of the characters separates them.
std::vector<std::string> split(std::string_view text, const char* separators) {
  std::vector<std::string> words;
  for (size_t begin = 0;;) {
    size_t end = text.find_first_of(separators, begin);
    words.emplace_back(text.substr(begin, end - begin));
    if (end == text.npos) return words;
    begin = end + 1;
  }
}

void replaceAll(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) text.replace(at, what.size(), by);
}

// What a directory of a run path stands for; more than one if that is the loader's to know.
std::vector<std::string> expand(std::string directory, const std::string& origin) {
  auto* platform = reinterpret_cast<const char*>(getauxval(AT_PLATFORM));
  for (const char* name : {"$ORIGIN", "${ORIGIN}"}) replaceAll(directory, name, origin);
  for (const char* name : {"$PLATFORM", "${PLATFORM}"}) replaceAll(directory, name, platform ? platform : "");
  if (directory.find("$LIB") == directory.npos && directory.find("${LIB}") == directory.npos) return {directory};
  std::vector<std::string> result;
  for (const char* lib : kLib) {
    result.push_back(directory);
    for (const char* name : {"$LIB", "${LIB}"}) replaceAll(result.back(), name, lib);
  }
  return result;
}

// The mappings of files: where each begins, and the kernel's numbers of its file.
struct Mapped {
  std::string device;
  uint64_t inode;
  std::string path;
  friend bool operator==(const Mapped& a, const Mapped& b) { return a.device == b.device && a.inode == b.inode; }
};
std::map<uint64_t, Mapped> mappings() {
  std::map<uint64_t, Mapped> result;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    uint64_t begin = 0, inode = 0;
    std::string rest, offset, device, path;
    words >> std::hex >> begin >> rest >> rest >> offset >> device >> std::dec >> inode >> std::ws;
    std::getline(words, path);
    if (inode != 0) result[begin] = {device, inode, path};
  }
  return result;
}

// The program's file, by where the program is in memory. /proc/self/exe is the loader, if that was named to start it
// (iserv/remote/launcher.cc).
const std::string& programFile() {
  static const std::string file = [] {
    uint64_t address = 0;
    auto first = [](dl_phdr_info* info, size_t, void* data) {
      for (int i = info->dlpi_phnum; i-- > 0;) {
        const auto& segment = info->dlpi_phdr[i];
        if (segment.p_type == PT_LOAD) *static_cast<uint64_t*>(data) = info->dlpi_addr + segment.p_vaddr;
      }
      return 1;
    };
    dl_iterate_phdr(first, &address);
    return mappings()[address].path;
  }();
  return file;
}

// The path that the kernel shows for a file, if there can be more than one.
std::string resolvedPath(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || status.st_nlink < 2 || !S_ISREG(status.st_mode)) return "";
  return linker::kernelPathOf(path);
}

bool exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

// When this process was started, nanoseconds since 1970.
int64_t startOfProcess() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // The 22nd word, in ticks since the machine was started; the second one, in parentheses, may be any text.
  std::istringstream words(line.substr(line.rfind(')') + 1));
  std::string word;
  for (int number = 3; number < 22; ++number) words >> word;
  int64_t ticks = 0;
  words >> ticks;
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  int64_t age = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec - ticks * (1'000'000'000 / sysconf(_SC_CLK_TCK));
  return linker::systemClock() - age;
}

int64_t linkChanged(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return 0;
  return int64_t{status.st_ctim.tv_sec} * 1'000'000'000 + status.st_ctim.tv_nsec;
}

// The files that the loader's cache has for these names.
std::vector<std::string> cached(const std::set<std::string>& names) {
  // As `struct cache_file_new` of glibc 2.36 (sysdeps/generic/dl-cache.h): a header, entries that refer to texts
  // by their offset, the texts.
  constexpr std::string_view kMagic = "glibc-ld.so.cache1.1";
  constexpr size_t kHeader = 48, kEntry = 24;
  std::vector<std::string> files;
  auto cache = linker::MappedFile::open(kCache);
  if (!cache || cache->bytes().size() < kHeader) return files;
  std::string_view bytes(reinterpret_cast<const char*>(cache->bytes().data()), cache->bytes().size());
  if (!bytes.starts_with(kMagic)) return files;
  auto number = [bytes](size_t offset) {
    uint32_t value = 0;
    if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  auto text = [bytes](uint32_t offset) {
    if (offset >= bytes.size()) return std::string_view();
    std::string_view rest = bytes.substr(offset);
    return rest.substr(0, rest.find('\0'));
  };
  uint64_t count = std::min<uint64_t>(number(kMagic.size()), (bytes.size() - kHeader) / kEntry);
  for (size_t entry = kHeader; count-- > 0; entry += kEntry) {
    if (names.contains(std::string(text(number(entry + 4))))) files.emplace_back(text(number(entry + 8)));
  }
  return files;
}

}  // namespace

bool isHaskellLibrary(std::string_view path) { return path.substr(path.rfind('/') + 1).starts_with("libHS"); }

LoaderSearch::LoaderSearch(std::string file, std::string directory, int64_t begin)
    : file_(std::move(file)), directory_(std::move(directory)), begin_(begin) {}

LoaderSearch::LoaderSearch(std::string file, std::string directory)
    : LoaderSearch(std::move(file), std::move(directory), linker::systemClock()) {
  for (const Object& object : objects()) before_.insert(object.path);
}

std::vector<LoaderSearch::Object> LoaderSearch::objects() const {
  struct Walk {
    const std::string& directory;
    std::vector<Object> objects = {};
  } walk{directory_};
  auto add = [](dl_phdr_info* info, size_t, void* data) {
    auto& found = *static_cast<Walk*>(data);
    Object object;
    const ElfW(Dyn)* entries = nullptr;
    for (int i = info->dlpi_phnum; i-- > 0;) {
      const auto& segment = info->dlpi_phdr[i];
      auto* address = reinterpret_cast<const void*>(info->dlpi_addr + segment.p_vaddr);
      if (segment.p_type == PT_LOAD) object.address = address;
      if (segment.p_type == PT_DYNAMIC) entries = static_cast<const ElfW(Dyn)*>(address);
    }
    // Only the program has no name, and the kernel's vdso no file.
    std::string name = info->dlpi_name;
    object.isProgram = name.empty();
    if (object.isProgram) name = programFile();
    if (name.find('/') == name.npos) return 0;
    object.path = name.front() == '/' ? name : found.directory + "/" + name;
    const char* strings = nullptr;
    for (auto* entry = entries; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
      // The loader has added the address, where it could write.
      auto place = entry->d_un.d_ptr < info->dlpi_addr ? info->dlpi_addr + entry->d_un.d_ptr : entry->d_un.d_ptr;
      if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(place);
    }
    for (auto* entry = entries; strings != nullptr && entry->d_tag != DT_NULL; ++entry) {
      const char* text = strings + entry->d_un.d_val;
      if (entry->d_tag == DT_NEEDED) object.needed.emplace_back(text);
      if (entry->d_tag != DT_RUNPATH && entry->d_tag != DT_RPATH) continue;
      object.runPath += (object.runPath.empty() ? "" : ":") + std::string(text);
    }
    found.objects.push_back(std::move(object));
    return 0;
  };
  dl_iterate_phdr(add, &walk);
  return std::move(walk.objects);
}

std::vector<LoaderSearch::Object> LoaderSearch::fresh() const {
  std::vector<Object> result = objects();
  std::erase_if(result, [this](const Object& object) { return before_.contains(object.path); });
  return result;
}

bool LoaderSearch::foundMore() const {
  return std::ranges::any_of(fresh(), [this](const Object& object) { return object.path != file_; });
}

bool LoaderSearch::searchesNearby() const {
  return std::ranges::any_of(objects(), [this](const Object& object) {
    bool counts = object.path == file_ || !before_.contains(object.path);
    return counts && object.runPath.find("ORIGIN") != std::string::npos;
  });
}

void LoaderSearch::addFile(const std::string& path) {
  files_[path] = {linker::signatureOfAny(path), resolvedPath(path)};
}

void LoaderSearch::searchIn(const std::string& directory) {
  if (!directories_.emplace(directory, linker::signatureOfAny(directory)).second) return;
  if (directories_[directory] == linker::FileSignature{}) return;
  std::string hardware = directory + "/" + kHardware;
  if (exists(hardware)) {
    directories_[hardware] = linker::signatureOfAny(hardware);
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(hardware, none)) {
      directories_[entry.path()] = linker::signatureOfAny(entry.path());
    }
  }
  for (const char* part : kNested) {
    std::string nested = directory + "/" + part;
    if (exists(nested)) searchIn(nested);
  }
}

void LoaderSearch::searchAlong(std::string_view path, const std::string& origin) {
  if (path.empty()) return;
  for (const std::string& part : split(path, ":;")) {
    for (const std::string& directory : expand(part, origin)) searchIn(directory);
  }
}

// For all that is loaded, by whatever: LD_LIBRARY_PATH, the loader's own directories, and the program's run path,
// which counts for others if it is an RPATH.
void LoaderSearch::searchAsTheProgramDoes() {
  if (const char* path = getenv("LD_LIBRARY_PATH")) searchAlong(path, directoryOf(programFile()));
  searchAlong(kSystemDirectories, "");
  void* program = dlopen(nullptr, RTLD_LAZY);
  Dl_serinfo size;
  if (program != nullptr && dlinfo(program, RTLD_DI_SERINFOSIZE, &size) == 0) {
    std::vector<char> memory(size.dls_size);
    auto* information = reinterpret_cast<Dl_serinfo*>(memory.data());
    if (dlinfo(program, RTLD_DI_SERINFOSIZE, information) == 0 && dlinfo(program, RTLD_DI_SERINFO, information) == 0) {
      for (unsigned i = 0; i < information->dls_cnt; ++i) searchIn(information->dls_serpath[i].dls_name);
    }
  }
  addFile(kCache);
}

// The files of objects, each of which must be the one that was mapped: the path may lead to another by now.
Status LoaderSearch::addMapped(const std::vector<Object>& objects) {
  std::vector<std::pair<const Object*, linker::MappedFile>> again;
  for (const Object& object : objects) {
    addFile(object.path);
    if (files_[object.path].signature.ctimeNs > begin_ - kTickNs) {
      return Error{object.path + " was changed while it was loaded"};
    }
    auto file = linker::MappedFile::open(object.path);
    if (!file || file->bytes().empty()) return Error{object.path + " was removed while it was loaded"};
    again.emplace_back(&object, std::move(*file));
  }
  std::map<uint64_t, Mapped> all = mappings();
  for (const auto& [object, file] : again) {
    auto then = all.find(reinterpret_cast<uint64_t>(object->address));
    auto now = all.find(reinterpret_cast<uint64_t>(file.bytes().data()));
    bool same = then != all.end() && now != all.end() && then->second == now->second;
    if (!same || linker::signatureOfAny(object->path) != files_[object->path].signature) {
      return Error{object->path + " was replaced while it was loaded"};
    }
  }
  return Done{};
}

// What the loader found in its search and did not take: other versions, links that lead nowhere, files that cannot be
// loaded.
Status LoaderSearch::addCandidates() {
  for (const auto& [directory, signature] : directories_) {
    if (signature == linker::FileSignature{}) continue;
    for (const std::string& name : names_) {
      std::string path = directory + "/" + name;
      if (files_.contains(path) || directories_.contains(path) || !exists(path)) continue;
      addFile(path);
      const linker::FileSignature& found = files_[path].signature;
      bool isNew = std::max({found.ctimeNs, linkChanged(path), linkChanged(directory)}) > begin_ - kTickNs;
      if (isNew) return Error{path + " appeared while shared objects were searched for"};
    }
  }
  for (const std::string& path : cached(names_)) {
    if (!files_.contains(path)) addFile(path);
  }
  return Done{};
}

Status LoaderSearch::search() {
  std::vector<Object> loaded = fresh();
  if (Status mapped = addMapped(loaded); !mapped) return mapped;
  // A shared object's dependencies that are there already are not searched for.
  bool isName = !file_.empty() && file_.find('/') == file_.npos;
  if (!isName && !foundMore()) return Done{};
  if (isName) names_.insert(file_);
  for (const Object& object : objects()) {
    bool isNew = !before_.contains(object.path);
    // The run path of the program's library that asks the loader counts as well.
    if (isNew || object.isProgram || nameOf(object.path).starts_with("libHSrts")) {
      searchAlong(object.runPath, directoryOf(object.path));
    }
    if (!isNew) continue;
    names_.insert(object.needed.begin(), object.needed.end());
    if (object.path != file_) names_.insert(nameOf(object.path));
  }
  searchAsTheProgramDoes();
  for (const auto& [directory, signature] : directories_) {
    if (!directory.starts_with('/')) return Error{"shared objects are searched for in \"" + directory + "\""};
  }
  if (Status candidates = addCandidates(); !candidates) return candidates;
  names_.insert(kHardware);
  names_.insert(std::begin(kLevels), std::end(kLevels));
  names_.insert(std::begin(kNested), std::end(kNested));
  return Done{};
}

Status LoaderSearch::describe(schema::Conditions::Builder conditions) {
  if (Status searched = search(); !searched) return searched;
  if (pathCounts_) {
    addFile(file_);
  } else {
    files_.erase(file_);
  }
  write(conditions);
  return Done{};
}

// The libraries that the environment names, in a list with either separator (ld.so(8)).
void LoaderSearch::searchForPreloaded() {
  for (const char* variable : {"LD_PRELOAD", "LD_AUDIT"}) {
    const char* words = getenv(variable);
    for (const std::string& word : split(words == nullptr ? "" : words, " :")) {
      for (const std::string& file : expand(word, directoryOf(programFile()))) {
        if (file.find('/') != file.npos) {
          addFile(file);
        } else if (!file.empty()) {
          names_.insert(file);
        }
      }
    }
  }
}

void LoaderSearch::describeStart(schema::Conditions::Builder conditions) {
  LoaderSearch search(programFile(), "/", startOfProcess());
  search.searchForPreloaded();
  // What is wrong here is wrong as long as this process lives, which is until the next client comes.
  if (!search.search()) search.files_["/proc/self/exe"] = {kGone, ""};
  search.addFile(kPreload);
  search.addFile(getenv("LOCPATH") == nullptr ? kLocales : getenv("LOCPATH"));
  // The rest of what is mapped: locales, and what auditors have brought along.
  for (const auto& [address, mapped] : mappings()) {
    constexpr std::string_view kDeleted = " (deleted)";
    std::string path = mapped.path;
    if (!path.starts_with('/') || path.starts_with("/dev/") || path.starts_with("/memfd:")) continue;
    if (path.ends_with(kDeleted)) search.files_[path] = {kGone, ""};
    if (!search.files_.contains(path)) search.addFile(path);
  }
  search.write(conditions);
}

void LoaderSearch::write(schema::Conditions::Builder conditions) const {
  auto describe = [this](schema::Conditions::File::Builder file, const std::string& path,
                         const linker::FileSignature& signature) {
    file.setPath(toData(path));
    writeSignature(signature, file.initSignature());
    file.setUnsettled(!linker::hasSettled(signature, begin_));
  };
  auto files = conditions.initFiles(static_cast<uint32_t>(files_.size()));
  uint32_t i = 0;
  for (const auto& [path, file] : files_) {
    auto builder = files[i++];
    describe(builder, path, file.signature);
    builder.setResolved(toData(file.resolved));
    if (!builder.getUnsettled()) continue;
    auto digest = linker::digestFile(path);
    if (digest) builder.setSha256({digest->bytes.data(), digest->bytes.size()});
  }
  auto directories = conditions.initDirectories(static_cast<uint32_t>(directories_.size()));
  i = 0;
  for (const auto& [path, signature] : directories_) describe(directories[i++], path, signature);
  auto names = conditions.initNames(static_cast<uint32_t>(names_.size()));
  i = 0;
  for (const std::string& name : names_) names.set(i++, toData(name));
}

}  // namespace splicehost
