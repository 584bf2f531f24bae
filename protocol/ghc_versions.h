// What differs between GHC versions on GHC's wire, as data: one table per version.
//
// Facts: libraries/ghci/GHCi/Message.hs of each version. getMessage and putMessage number the messages, getTHMessage
// and putTHMessage those that a splice sends to GHC. The types of `Message` say what answers a request. They change
// between minor versions, too (9.6.7 has another table than 9.6.6), so a version here is always the full one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/interpreter.capnp.h"

namespace splicehost::ghc {

// How LoadDLL is answered.
enum class LoadDllAnswer : uint8_t {
  kMaybeError,     // Maybe String: what failed, if anything did
  kErrorOrHandle,  // Either String (RemotePtr LoadedDLL)
};

// How EvalBreak, a field of EvalStatus, says where the evaluation has stopped.
enum class BreakLocation : uint8_t {
  kUnique,   // Bool, whether at an exception; then HValueRef, Int, Int: breakpoint, unique of its module
  kModules,  // HValueRef; then Maybe EvalBreakpoint: breakpoint and its place in byte code, by module name
};

struct Version {
  // As `ghc --numeric-version` prints it.
  std::string_view name;

  // Message tag (the index) to request.
  std::span<const schema::Request::Which> requests;

  // THMessage tag (the index) to the constructor's name, for traces.
  std::span<const std::string_view> thMessages;
  // The tag of RunTHDone, which tells GHC that the next thing is the splice's result.
  uint8_t runTHDoneTag;
  // The tag of AddModFinalizer, whose message hands out a reference: the 8 bytes after the tag.
  uint8_t addModFinalizerTag;

  LoadDllAnswer loadDllAnswer;
  BreakLocation breakLocation;
};

// The table of a version, or null if there is none.
const Version* findVersion(std::string_view name);

// All tables.
std::span<const Version> versions();

// The tag of a request, or -1 if this version does not have it.
int requestTag(const Version& version, schema::Request::Which which);

}  // namespace splicehost::ghc
