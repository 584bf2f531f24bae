// GHC's RTS linker, which loads object code into this process: symbols, objects, archives and shared
// objects.
//
// Note [Boot libraries]. The static interpreters hold the libraries that ship with GHC, linked whole. When GHC asks to
// load one of them there is nothing to do: the RTS finds its symbols in the program (dlsym, after its own table). It
// must not be loaded again. That costs time, and a second copy of base has its own standard handles, which nobody
// flushes. A library is one of these if its content is, at whatever path it lies.
//
// All functions fail with one sentence that names the file; the RTS may have said more on stderr.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "iserv/interpreter/rts_lock.h"
#include "protocol/result.h"

namespace splicehost::linker {

// A library file that the interpreter's program contains.
struct BootLibrary {
  std::string_view sha256;  // hexadecimal
  uint64_t size;            // bytes
  // Where and what the file was when the interpreter was built. As long as these are the same the
  // content need not be read.
  uint64_t device;
  uint64_t inode;
  int64_t modified;  // nanoseconds since 1970
  int64_t changed;   // nanoseconds since 1970
};

class RtsLinker {
 public:
  // `bootLibraries` must outlive the linker.
  explicit RtsLinker(std::span<const BootLibrary> bootLibraries);

  void initialise();
  // The address of a symbol, or null. May link archive members.
  void* lookup(const std::string& symbol);
  // Links what defines a symbol, so that a lookup will be quick. True if there is such a symbol.
  bool link(const std::string& symbol);
  // The address of a symbol in a shared object, or null. Fails if none was loaded that has the handle.
  Result<void*> lookupIn(uint64_t handle, const std::string& symbol);
  // True if lookup() or lookupIn() has returned this address.
  bool knows(uint64_t address) const { return addresses_.contains(address); }
  // The system linker's message on failure. A library of the program's own, asked for by its name only
  // ("libgmp.so"), is there already. Its handle is ghc::sharedObjectHandle() of `file`.
  std::optional<std::string> loadSharedObject(const std::string& file);
  Status loadArchive(const std::string& file);
  // Loads an object. One that was loaded from the same path before is replaced: GHC asks again only
  // when it has forgotten the old one. (A dynamically linked GHC does not ask for unloading, whatever
  // the interpreter is; GHC.Runtime.Linker, unload_wkr, 9.0.2.)
  Status loadObject(const std::string& file);
  Status unload(const std::string& file);
  // From here on the file that was loaded from `file` has the name `alias`: that of the same file in
  // another place.
  void rename(const std::string& file, const std::string& alias);
  // False if a symbol is missing.
  bool resolve();

 private:
  bool isBootLibrary(const std::string& file) const;

  std::span<const BootLibrary> bootLibraries_;
  std::unordered_set<std::string> ownLibraries_;  // names without versions
  std::unordered_set<std::string> skipped_;
  // The objects and archives that were loaded: by our client's name, the RTS's name.
  std::unordered_map<std::string, std::string> loaded_;
  // The shared objects that were loaded: by handle, our client's name and the system linker's handle.
  struct SharedObject {
    std::string file;
    void* object;
  };
  std::unordered_map<uint64_t, SharedObject> sharedObjects_;
  std::unordered_set<uint64_t> addresses_;
};

}  // namespace splicehost::linker
