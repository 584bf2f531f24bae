// The files of the machine that GHC is on, as another machine is told of them: by content.
//
// What a request for a load names is not always what is to be loaded there. The members of a thin archive lie in other
// files, and a linker script stands for other files. Of a shared object of the system's only the name is sent, since
// the target has its own.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "linker/content_identity.h"
#include "protocol/attention.h"
#include "protocol/remote.capnp.h"
#include "protocol/result.h"

namespace splicehost::remote {

// Content that can be sent.
struct ContentSource {
  linker::ContentDigest digest;
  uint64_t size = 0;
  std::string name;
};

void setContent(schema::Content::Builder builder, const ContentSource& source);

class HostFiles {
 public:
  // Both must outlive this. When the attention is cancelled, if there is one, files are not read any more.
  explicit HostFiles(linker::DigestCache& digests, Attention* attention = nullptr)
      : digests_(digests), attention_(attention) {}

  // A file to be sent as it is.
  Result<ContentSource> file(const std::string& path);
  // A static archive: one that has its members in it.
  Result<ContentSource> archive(const std::string& path);
  // Bytes that are in no file.
  ContentSource bytes(std::string content, std::string name);

  // What loading a shared object by this path, or by a name without a slash, comes to on the target. In order: files to
  // be sent and names that its loader searches for. The last stands for the file itself.
  struct SharedObject {
    std::string path;                      // on this machine; or the name
    std::optional<ContentSource> content;  // none: the target's loader is to find it
  };
  Result<std::vector<SharedObject>> sharedObject(const std::string& path);

  // A part of content that file(), archive() or bytes() has named, from this offset on. Fails if it is not there any
  // more.
  struct Piece {
    std::vector<std::byte> bytes;
    bool last = false;
  };
  Result<Piece> read(const linker::ContentDigest& digest, uint64_t offset);

 private:
  struct Origin {
    std::string path;
    linker::FileSignature signature;
    std::string bytes;  // if there is no path
  };

  Status addSharedObject(const std::string& path, int depth, std::vector<SharedObject>& found);

  linker::DigestCache& digests_;
  Attention* attention_;
  std::map<linker::ContentDigest, Origin> origins_;
  // Names of the shared objects that the target was told to load.
  std::map<std::string, bool, std::less<>> loaded_;
};

// What a linker script (an ASCII file in a shared object's place) names in INPUT and GROUP, in order. Static libraries,
// and what is only to be linked AS_NEEDED, are left out. Empty if it is none.
std::vector<std::string> readLinkerScript(std::string_view text);

// A thin archive's content with its members in it. `directory` is where the archive is.
Result<std::string> flattenArchive(std::span<const std::byte> archive, const std::string& directory);

// What a shared object's dynamic section says.
struct DynamicSection {
  std::string soname;
  std::vector<std::string> needed;
  std::vector<std::string> searched;  // DT_RUNPATH, or else DT_RPATH, with $ORIGIN replaced
};
Result<DynamicSection> readDynamicSection(std::span<const std::byte> file, const std::string& directory);

// Whether a directory is one where the system keeps libraries.
bool isSystemDirectory(const std::string& directory);

}  // namespace splicehost::remote
