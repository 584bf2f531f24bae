// The digests of files, remembered from one process to the next by the files' signatures.
//
// The file is records of a fixed size, each with a checksum. Processes append to it at the same time. A record that is
// torn or of another version is as good as not there. When it has grown too large it is begun anew. Numbers of mounts,
// which are part of signatures, are the kernel's until it ends, so a record holds until then.
#pragma once

#include <capnp/blob.h>

#include <string>

#include "linker/content_identity.h"
#include "protocol/result.h"

namespace splicehost::remote {

// Where the digests of this user's files are remembered: $XDG_CACHE_HOME/splicehost/digests, or
// ~/.cache/splicehost/digests. Makes the directory. Empty if there can be none.
std::string digestFile();

// A digest in a message. Fails if it has another size.
Result<linker::ContentDigest> readDigest(capnp::Data::Reader data);

class DigestMemory {
 public:
  // Uses this file, whose directory exists. Without it, or with one that cannot be used, nothing is remembered.
  explicit DigestMemory(std::string file);
  DigestMemory(const DigestMemory&) = delete;
  DigestMemory& operator=(const DigestMemory&) = delete;
  ~DigestMemory() { save(); }

  linker::DigestCache& cache() { return cache_; }

  // A file that nobody has open for writing is known to have this content, from the time `since` on
  // (linker::systemClock()).
  void note(const linker::FileSignature& signature, const linker::ContentDigest& digest, int64_t since);

  // Appends what is new to the file.
  void save();

 private:
  std::string file_;
  linker::DigestCache cache_;
  bool beginAnew_ = false;
};

}  // namespace splicehost::remote
