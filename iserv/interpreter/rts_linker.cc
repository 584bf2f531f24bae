#include "iserv/interpreter/rts_linker.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/sysmacros.h>

#include <cstdlib>

#include "iserv/interpreter/rts_version.h"
#include "linker/content_identity.h"
#include "linker/object_check.h"
#include "linker/shared_object_check.h"
#include "protocol/ghc_messages.h"

namespace splicehost::linker {

namespace {

// Devices of images, of which there may be another one there by now (Documentation/admin-guide/devices.txt).
constexpr unsigned kLoopMajor = 7;

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
  Result<FileSignature> signature = signatureOf(file);
  if (!signature) return false;
  for (const BootLibrary& library : bootLibraries_) {
    if (library.size != signature->size) continue;
    // The kernel's number of the mount is another one each time.
    bool proves = signature->mount != 0 && major(signature->device) != kLoopMajor;
    if (proves && library.device == signature->device && library.inode == signature->inode &&
        library.modified == signature->mtimeNs && library.changed == signature->ctimeNs) {
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
  if (Status check = checkSharedObject(file); !check) return check.error().message;
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
  if (loaded == sharedObjects_.end()) {
    return Error{"no shared object was loaded that has handle " + std::to_string(handle)};
  }
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
