// Load operations for tests. A file's content is a number.
#pragma once

#include <string>
#include <vector>

#include "iserv/broker/load_trie.h"

namespace splicehost::broker::testing {

inline const DoneOperation kInit{{schema::LoadKind::INIT_LINKER, ""}, {}, {}};
inline const DoneOperation kResolve{{schema::LoadKind::RESOLVE_OBJS, ""}, {}, {}};

inline DoneOperation named(const std::string& name) { return {{schema::LoadKind::LOAD_DLL, name}, {}, {}}; }

inline ContentDigest digestOf(uint8_t content) {
  ContentDigest digest;
  digest.bytes.fill(content);
  return digest;
}

inline DoneOperation file(schema::LoadKind kind, const std::string& path, uint8_t content) {
  // All contents have the same size.
  return {{kind, path}, digestOf(content), FileSignature{1, content, 1000, 7, 8}, true, 1000};
}

inline DoneOperation archive(const std::string& path, uint8_t content) {
  return file(schema::LoadKind::LOAD_ARCHIVE, path, content);
}

inline DoneOperation object(const std::string& path, uint8_t content) {
  return file(schema::LoadKind::LOAD_OBJ, path, content);
}

// What a session reports of operations that a zygote would do so.
inline std::vector<AskedOperation> askedFor(const std::vector<DoneOperation>& operations) {
  std::vector<AskedOperation> result;
  for (const DoneOperation& done : operations) {
    result.push_back({done.operation});
    if (done.digest) result.back().signature = done.signature;
  }
  return result;
}

}  // namespace splicehost::broker::testing
