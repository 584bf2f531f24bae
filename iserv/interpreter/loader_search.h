// What the system's loader (glibc's ld.so) has mapped into this process, and where it has looked for that: the
// conditions of a zygote's records (protocol/broker.capnp, Conditions).
//
// The loader does not tell where it has looked. It is known from the same sources (glibc 2.36 to 2.41, elf/dl-load.c,
// _dl_map_object and open_path): run paths, LD_LIBRARY_PATH, /etc/ld.so.cache, its own directories, and subdirectories
// for kinds of processors. What is told here may be more than it has looked at, never less. Names and directories are
// told apart, and not each file that might be. There are thousands, and a directory's signature says that none of them
// has appeared.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "linker/content_identity.h"
#include "protocol/broker.capnp.h"
#include "protocol/result.h"

namespace splicehost {

// Whether a shared object is a Haskell package's own. It does not care where it is.
bool isHaskellLibrary(std::string_view path);

class LoaderSearch {
 public:
  // `file`, a path or a name, is about to be given to the loader, or to be read. Relative paths of shared objects
  // begin in `directory`.
  LoaderSearch(std::string file, std::string directory);

  // What this process was started with. To be called before anything is loaded in it.
  static void describeStart(schema::Conditions::Builder conditions);

  // The others are for after the loading.

  // Whether the loader has mapped something besides the file itself.
  bool foundMore() const;
  // Whether what it has mapped, or the file, names directories relative to its own.
  bool searchesNearby() const;
  // The file's path, too, and not only its content, is a condition.
  void countPath() { pathCounts_ = true; }
  // Fails if files were changed meanwhile, or if the search depends on the working directory.
  Status describe(schema::Conditions::Builder conditions);

 private:
  // A shared object that is in this process.
  struct Object {
    std::string path;     // absolute
    const void* address;  // of its first page
    std::vector<std::string> needed;
    std::string runPath;  // both kinds; with colons
    bool isProgram = false;
  };

  LoaderSearch(std::string file, std::string directory, int64_t begin);
  std::vector<Object> objects() const;
  std::vector<Object> fresh() const;
  Status search();
  void searchForPreloaded();
  void searchIn(const std::string& directory);
  void searchAlong(std::string_view path, const std::string& origin);
  void searchAsTheProgramDoes();
  void addFile(const std::string& path);
  Status addMapped(const std::vector<Object>& objects);
  Status addCandidates();
  void write(schema::Conditions::Builder conditions) const;

  struct File {
    linker::FileSignature signature;
    std::string resolved;
  };

  std::string file_, directory_;
  int64_t begin_;  // of the loading
  bool pathCounts_ = false;
  std::set<std::string> before_;
  std::map<std::string, File> files_;
  std::map<std::string, linker::FileSignature> directories_;
  std::set<std::string> names_;
};

}  // namespace splicehost
