// Load operations that zygotes must not do. A fork would not have, or would share, what their libraries' constructors
// do, or these end or keep the process. Each session does them itself.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "iserv/broker/load_trie.h"

namespace splicehost::broker {

class UnsharedFiles {
 public:
  // Those that were found first are forgotten, and will be found again.
  static constexpr size_t kMostRemembered = 4096;

  struct Entry {
    Operation operation;
    // A library is known by its content; nothing if it was asked for by its name only.
    std::optional<ContentDigest> digest;
    uint64_t size = 0;
    // What it needs may be the reason, and counts as it is here.
    std::vector<LoadConditions::File> dependencies;
    std::string why;
  };

  void add(Entry entry);
  const std::deque<Entry>& all() const { return entries_; }

  enum class Verdict { kShared, kUnshared, kUndecided };
  // Undecided: the file has to be read to know.
  Verdict judge(const AskedOperation& asked) const;

 private:
  std::deque<Entry> entries_;
};

}  // namespace splicehost::broker
