// What a zygote's memory depends on: files that it has mapped or read, and where else its loader has looked.
// (protocol/broker.capnp, Conditions)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iserv/base/file_signature.h"
#include "linker/content_identity.h"
#include "protocol/broker.capnp.h"

namespace splicehost::broker {

using linker::ContentDigest;
using linker::FileSignature;

// The conditions of one load operation, or of an interpreter's start.
struct LoadConditions {
  struct File {
    std::string path;
    FileSignature signature;
    // As long as a later change might have the same signature:
    bool unsettled = false;
    std::optional<ContentDigest> digest = {};
    std::string resolved = {};  // empty if that cannot differ
  };
  std::vector<File> files = {};
  std::vector<File> directories = {};
  std::vector<std::string> names = {};
};
LoadConditions readConditions(schema::Conditions::Reader conditions);

// The conditions of all operations of a zygote.
class Conditions {
 public:
  // `depth` says of which operation: 0 is the interpreter's start. Operations are added in their order.
  void add(uint32_t depth, const LoadConditions& conditions);
  // An operation's own file.
  struct Own {
    std::string path;
    FileSignature signature;
    ContentDigest digest;
    // Null if it was only read.
    std::shared_ptr<const linker::OpenFile> mapped = {};
  };
  void addOwn(uint32_t depth, Own file);

  struct Change {
    uint32_t depth;
    std::string path;
  };
  // The first operation of which a condition does not hold any more, and one of what has changed. Costs a
  // system call for each file and each directory.
  std::optional<Change> firstChange();

 private:
  // What was searched for by one operation, and the directories.
  struct Search {
    uint32_t depth;
    std::vector<std::string> directories, names;
  };
  struct Watched {
    uint32_t depth;
    LoadConditions::File file;
  };

  static bool isUnchanged(Own& own);
  bool isUnchanged(LoadConditions::File& file) const;
  std::optional<Change> lookInto(Watched& directory);

  std::map<std::string, Watched> files_, directories_;
  // A directory that is not what it was, for other reasons, is looked into.
  std::vector<std::shared_ptr<const Search>> searches_;
  std::vector<std::pair<uint32_t, Own>> own_;  // with the operation
};

}  // namespace splicehost::broker
