// Content that a target has brought from the front end: what it lacks is asked for once, arrives in parts, and is in
// the store then. What another process of this machine receives already is not asked for. It is looked for again and
// again, until it is there or that process has given up.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iserv/remote/content_store.h"
#include "linker/content_identity.h"
#include "protocol/remote.capnp.h"
#include "protocol/result.h"

namespace splicehost::remote {

// Content as the front end announces it.
struct AnnouncedContent {
  linker::ContentDigest digest;
  uint64_t size = 0;  // bytes
  std::string name;   // of the file, which becomes a part of a path here
};
// Fails if the digest is none, or the name is not one of a file.
Result<AnnouncedContent> readAnnounced(schema::Content::Reader content);

class ContentFetcher {
 public:
  // The store must outlive this.
  explicit ContentFetcher(ContentStore& store) : store_(store) {}

  // Has this content come here, unless it is here or on its way. Fails if it cannot be stored.
  Status want(const AnnouncedContent& content);
  // The path of content that is here; null if it is not yet. Valid as long as this object.
  const std::string* find(const linker::ContentDigest& digest) const;

  // What is to be asked for of the front end, from an offset in bytes on, that was not said before.
  struct Missing {
    linker::ContentDigest digest;
    uint64_t offset = 0;
  };
  std::vector<Missing> takeMissing() { return std::exchange(missing_, {}); }

  // The next part of what was asked for. Content that is not what it should be is asked for once more. Fails if that
  // is not either, if it cannot be stored, or if nobody has asked for it.
  Status take(schema::ContentPart::Reader part);

  // Whether somebody else receives what is wanted here: then lookForOthers() should be called now and then.
  bool awaitsOthers() const;
  // What somebody else receives is here by now, or is left to us. Fails if it cannot be stored.
  Status lookForOthers();

 private:
  // Content that is on its way.
  struct Transfer {
    uint64_t size = 0;
    std::string name;
    std::optional<ContentStore::Arrival> arrival = {};  // none: somebody else receives it
    bool again = false;                                 // it has arrived once, and was not what it should be
  };

  void ask(const linker::ContentDigest& digest, Transfer& transfer, ContentStore::Arrival arrival);

  ContentStore& store_;
  std::map<linker::ContentDigest, Transfer> transfers_;
  std::map<linker::ContentDigest, std::string> paths_;  // of what is here
  std::vector<Missing> missing_;
};

}  // namespace splicehost::remote
