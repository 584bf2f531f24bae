// Decides where zygotes should be: what to grow when a session has told what it loaded.
//
// A zygote costs time to grow and memory to keep, and saves time if later sessions load the same. Libraries
// of packages are likely to be loaded again. A home module's code is loaded again only if the same modules
// are compiled again; so zygotes have it only when it was seen twice.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "iserv/broker/load_trie.h"

namespace splicehost::broker {

// What to do for one path, a sequence of operations from the root on.
struct GrowthPlan {
  // The node whose zygote is forked.
  NodeId start = 0;
  // How many operations of the path the start has done.
  size_t begin = 0;
  // Where zygotes are to be: after so many operations, rising. Empty: the start is all that should be.
  std::vector<size_t> stops;
};

class GrowthPolicy {
 public:
  // How many operations make a zygote between others worth it.
  static constexpr size_t kWorthwhile = 4;
  // How long an operation that failed is not tried again.
  static constexpr uint64_t kFailureMs = 60'000;
  // How many paths with home modules are remembered, and how many failures.
  static constexpr size_t kMostRemembered = 4096;

  // `end` is the last node on the path, `session` who reported it, `now` any clock in milliseconds.
  GrowthPlan plan(const LoadTrie::Node& end, std::span<const AskedOperation> path, uint64_t session, uint64_t now);

  // The last operation of this path has failed.
  void failed(std::span<const AskedOperation> path, uint64_t now);

 private:
  bool seenBefore(uint64_t home, uint64_t session);

  // By hashes of paths.
  std::unordered_map<uint64_t, uint64_t> seen_;  // the session that was first
  std::deque<uint64_t> seenOrder_;
  std::unordered_map<uint64_t, uint64_t> failures_;  // when
};

// What there is to choose from when there are too many zygotes.
struct ZygoteUse {
  bool root = false;
  bool inner = false;  // others were grown from it and are there
  bool busy = false;   // cannot go now
  uint64_t lastUsed = 0;
};
// Which zygote should go first, if one can go.
std::optional<size_t> leastUseful(std::span<const ZygoteUse> zygotes);

}  // namespace splicehost::broker
