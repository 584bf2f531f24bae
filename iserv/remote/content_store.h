// A target's store of content: libraries, objects and files of other machines, by SHA-256, each once, whoever brought
// it.
//
//   <directory>/content/<digest>/<name>   whole content; the directory's time says when it was last used
//   <directory>/partial/<digest>          content that has arrived in part; locked by whoever receives it
//   <directory>/trees/<digest>/           directories of a front end's machine, made of links to content
//   <directory>/digests                   which content was verified (iserv/remote/digest_memory.h)
//
// An entry appears at once, by renaming, when all of it has arrived and is what its name says. Before it is used one
// looks whether its file was touched since. If so it is read again, and dropped if it is not what it should be. What
// was not used for the longest time goes when the store is larger than it may be.
#pragma once

#include <kj/io.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "iserv/remote/digest_memory.h"
#include "linker/content_identity.h"
#include "protocol/result.h"

namespace splicehost::remote {

class ContentStore {
 public:
  // In this directory, which is made if it is not there, for this user alone. Fails if it cannot be, or is open to
  // others.
  static Result<std::unique_ptr<ContentStore>> open(const std::string& directory, uint64_t maxBytes);

  const std::string& directory() const { return directory_; }

  // The path of content that is here, with this name; verified, if its file has changed since it was.
  std::optional<std::string> find(const linker::ContentDigest& digest, const std::string& name);

  // Content that is to arrive. Who has one is the only one to receive this content.
  class Arrival {
   public:
    // How much of it is here already.
    uint64_t offset() const { return offset_; }

   private:
    friend class ContentStore;
    kj::AutoCloseFd file_;
    std::string path_;
    linker::ContentDigest digest_;
    uint64_t size_ = 0;
    uint64_t offset_ = 0;
    struct Hash;
    std::shared_ptr<Hash> hash_;
  };
  // Nothing if somebody else is receiving it; then find() will find it some time. Fails if it cannot be stored.
  Result<std::optional<Arrival>> expect(const linker::ContentDigest& digest, uint64_t size);
  // Fails if it cannot be stored, or is more than it should be.
  Status append(Arrival& arrival, std::span<const std::byte> bytes);
  // All of it has arrived. Fails if it is not what it should be, and forgets it then.
  Status finish(Arrival arrival, const std::string& name);

  // A directory for a tree that is to be made, and puts it in its place when it is.
  Result<std::string> beginTree(const linker::ContentDigest& digest);
  Result<std::string> finishTree(const linker::ContentDigest& digest, const std::string& made);
  std::optional<std::string> findTree(const linker::ContentDigest& digest);

  // Drops what was not used for the longest time, until no more than the maximum less `room` is taken.
  void makeRoom(uint64_t room);
  void save() { digests_.save(); }

 private:
  ContentStore(std::string directory, uint64_t maxBytes);
  std::string entryDirectory(const linker::ContentDigest& digest) const {
    return directory_ + "/content/" + digest.hex();
  }
  void touch(const std::string& entry);

  std::string directory_;
  uint64_t maxBytes_;
  DigestMemory digests_;
  uint64_t counted_ = 0;  // bytes added since it was last seen how much there is
};

}  // namespace splicehost::remote
