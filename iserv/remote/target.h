// The far end of a remote interpreter: what serves one front end on another machine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "iserv/remote/stream.h"
#include "protocol/result.h"

namespace splicehost::remote {

struct TargetOptions {
  std::string root;   // the directory that has iserv/ and ghc-<version>/
  std::string cache;  // the store of content
  uint64_t cacheBytes = uint64_t{4} << 30;
  std::string token;  // that a front end must have; empty: none
  // Called when the front end has shown that it has the token, and can be served.
  std::function<void()> whenAccepted = [] {};
};

// Serves a front end until it is done or gone. The result is the exit status. This process's standard streams, working
// directory and environment become those of the interpreter, so it serves no other.
int serve(std::unique_ptr<Stream> stream, const TargetOptions& options);

// The architecture that this program is for, as the Linux kernel calls it.
std::string ownArchitecture();

}  // namespace splicehost::remote
