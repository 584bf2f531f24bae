// What the meter writes down of one session, and what it says of it at the end.
//
// While the session runs only times and bytes are kept. What the turns were about is found out when it
// is over, so that nothing is decoded while somebody waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/ghc_binary.h"
#include "protocol/ghc_versions.h"

namespace splicehost {

class Ledger {
 public:
  // GHC sent bytes: the interpreter's turn starts now, or starts anew.
  void fromGhc(ghc::Bytes bytes);

  // The interpreter sent bytes: if it was its turn, the turn is over.
  void fromInterpreter(ghc::Bytes bytes);

  // One line of JSON. `version` says how to decode messages; null if GHC's version is not known, and
  // then all turns are of the kind "unknown".
  std::string toJson(std::string_view way, const ghc::Version* version) const;

 private:
  struct Turn {
    std::vector<std::byte> request;  // all that GHC sent since the answer before
    std::vector<std::byte> answer;   // all that came until GHC spoke again
    int64_t nanoseconds = 0;
  };

  std::vector<std::string> kinds(const ghc::Version* version) const;

  std::vector<Turn> turns_;  // the last one has no answer yet if waiting_
  size_t bytesToInterpreter_ = 0;
  size_t bytesFromInterpreter_ = 0;
  int64_t requestedAt_ = 0;
  bool waiting_ = false;
};

}  // namespace splicehost
