// What this interpreter was built for and from.
//
// The record is a source file of its own. It is written (ways/interpreters/build-record) when everything else of the
// program is compiled: the identity is made of that.
#pragma once

#include <span>
#include <string_view>

#include "iserv/interpreter/rts_linker.h"
#include "protocol/interpreter.capnp.h"

namespace splicehost {

struct BuildRecord {
  std::string_view ghcVersion;  // such as "9.0.2"
  schema::Way way;
  std::string_view identity;  // see InterpreterDescription.buildIdentity
  std::span<const linker::BootLibrary> bootLibraries;
};

extern const BuildRecord kBuildRecord;

}  // namespace splicehost
