#include "linker/rts_linker.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>

#include "iserv/rts_version.h"
#include "linker/content_identity.h"
#include "linker/object_check.h"
#include "protocol/ghc_messages.h"

#if defined(__x86_64__)
// Of libgcc's static part, which programs are linked with and no shared library offers.
extern "C" {
extern char __cpu_model[];
extern char __cpu_features2[];
int __cpu_indicator_init();
}
#endif

namespace splicehost::linker {

namespace {

// What GCC's code asks which processor this is (__builtin_cpu_supports), as in the package bitvec.
void insertProcessorSymbols() {
#if defined(__x86_64__)
  static char source[] = "(libgcc)";
  auto insert = [](const char* name, void* address) { insertSymbol(source, const_cast<char*>(name), address); };
  insert("__cpu_model", __cpu_model);
  insert("__cpu_features2", __cpu_features2);
  insert("__cpu_indicator_init", reinterpret_cast<void*>(__cpu_indicator_init));
#endif
}

Error failed(const std::string& file, const char* what) {
  return Error{file + ": GHC's linker could not " + what + " it"};
}

}  // namespace

RtsLinker::RtsLinker(std::span<const BootLibrary> bootLibraries) : bootLibraries_(bootLibraries) {
  auto add = [](dl_phdr_info* object, size_t, void* names) {
    std::string_view path = object->dlpi_name;
    std::string_view name = path.substr(path.rfind('/') + 1);
    size_t version = name.find(".so.");
    if (version != name.npos) {
      static_cast<std::unordered_set<std::string>*>(names)->emplace(name.substr(0, version + 3));
    }
    return 0;
  };
  dl_iterate_phdr(add, &ownLibraries_);
}

bool RtsLinker::isBootLibrary(const std::string& file) const {
  Result<FileStamp> stamp = stampOf(file);
  if (!stamp) return false;
  for (const BootLibrary& library : bootLibraries_) {
    if (library.size != stamp->size) continue;
    if (library.device == stamp->device && library.inode == stamp->inode &&
        library.modified == stamp->mtimeNs && library.changed == stamp->ctimeNs) {
      return true;
    }
    Result<ContentDigest> digest = digestFile(file);
    if (digest && digest->hex() == library.sha256) return true;
  }
  return false;
}

void RtsLinker::initialise() {
  RtsLock lock;
  // Interpreted code may refer to any top-level thunk at any time, so none may be collected.
  initLinker_(1);
  insertProcessorSymbols();
}

void* RtsLinker::lookup(const std::string& symbol) {
  RtsLock lock;
  void* address = lookupSymbol(const_cast<char*>(symbol.c_str()));
  if (address != nullptr) addresses_.insert(reinterpret_cast<uint64_t>(address));
  return address;
}

bool RtsLinker::link(const std::string& symbol) {
  RtsLock lock;
  return lookupSymbol(const_cast<char*>(symbol.c_str())) != nullptr;
}

std::optional<std::string> RtsLinker::loadSharedObject(const std::string& file) {
  if (ownLibraries_.contains(file)) return std::nullopt;
  uint64_t handle = ghc::sharedObjectHandle(file);
  if (auto other = sharedObjects_.find(handle); other != sharedObjects_.end() && other->second.file != file) {
    return file + ": its name and that of " + other->second.file + " have the same hash; rename it";
  }
  RtsLock lock;
  const char* message = addDLL(const_cast<char*>(file.c_str()));
  if (message == nullptr) {
    // Null for a linker script, which the RTS has followed; nobody looks up symbols in one.
    sharedObjects_[handle] = {file, dlopen(file.c_str(), RTLD_LAZY | RTLD_NOLOAD)};
    return std::nullopt;
  }
  std::string result = message;
  std::free(const_cast<char*>(message));
  return result;
}

Result<void*> RtsLinker::lookupIn(uint64_t handle, const std::string& symbol) {
  auto loaded = sharedObjects_.find(handle);
  if (loaded == sharedObjects_.end()) return Error{"no shared object was loaded that has handle " + std::to_string(handle)};
  void* object = loaded->second.object;
  void* address = object == nullptr ? nullptr : dlsym(object, symbol.c_str());
  if (address != nullptr) addresses_.insert(reinterpret_cast<uint64_t>(address));
  return address;
}

Status RtsLinker::loadArchive(const std::string& file) {
  if (isBootLibrary(file)) {
    skipped_.insert(file);
    return Done{};
  }
  if (Status check = checkLoadableArchive(file); !check) return check;
  RtsLock lock;
  if (!::loadArchive(const_cast<char*>(file.c_str()))) return failed(file, "load");
  rts::settleSectionIndices(lock);
  loaded_[file] = file;
  return Done{};
}

Status RtsLinker::loadObject(const std::string& file) {
  if (isBootLibrary(file)) {
    skipped_.insert(file);
    return Done{};
  }
  if (Status check = checkLoadableObject(file); !check) return check;
  RtsLock lock;
  auto old = loaded_.find(file);
  if (old != loaded_.end() && !unloadObj(old->second.data())) {
    return failed(file, "unload the old version of");
  }
  if (!loadObj(const_cast<char*>(file.c_str()))) return failed(file, "load");
  rts::settleSectionIndices(lock);
  loaded_[file] = file;
  return Done{};
}

Status RtsLinker::unload(const std::string& file) {
  if (skipped_.erase(file) > 0) return Done{};
  auto known = loaded_.extract(file);
  std::string name = known.empty() ? file : known.mapped();
  RtsLock lock;
  if (!unloadObj(name.data())) return failed(file, "unload");
  return Done{};
}

void RtsLinker::rename(const std::string& file, const std::string& alias) {
  if (file == alias) return;
  if (skipped_.erase(file) > 0) skipped_.insert(alias);
  if (auto known = loaded_.extract(file)) {
    known.key() = alias;
    loaded_.insert(std::move(known));
  }
  if (auto known = sharedObjects_.extract(ghc::sharedObjectHandle(file))) {
    known.key() = ghc::sharedObjectHandle(alias);
    known.mapped().file = alias;
    sharedObjects_.insert(std::move(known));
  }
}

bool RtsLinker::resolve() {
  RtsLock lock;
  return resolveObjs();
}

}  // namespace splicehost::linker
