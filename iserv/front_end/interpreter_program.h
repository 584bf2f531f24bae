// An interpreter's program, and what it is told when it starts.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "iserv/base/file_view.h"
#include "protocol/interpreter.capnp.h"

namespace splicehost {

struct InterpreterProgram {
  std::string path;
  std::string name;  // its argv[0]: names its profile reports
  std::string ghcVersion;
  schema::Way way = schema::Way::VANILLA;
  std::string identity;                 // its build identity
  std::set<std::string> libraries;      // system libraries that it is linked with: "libgmp.so"
  std::vector<std::string> rtsOptions;  // with +RTS, or empty
  uint64_t ignoredSignals = 0;          // as in ClientHello
  uint64_t blockedSignals = 0;
  // What of the file system it is to see otherwise than this process does.
  std::optional<FileView> view;
  std::string broker;    // the broker's program; empty if there is to be none
  bool verbose = false;  // a trace is wanted: each request is answered before the next one is sent
};

}  // namespace splicehost
