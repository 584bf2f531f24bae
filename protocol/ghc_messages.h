// GHC's messages on GHC's wire, to and from the requests and replies of interpreter.capnp.
//
// Facts: libraries/ghci/GHCi/Message.hs of each GHC version; what differs between versions is in
// ghc_versions.h.
#pragma once

#include <capnp/message.h>

#include <optional>
#include <string_view>

#include "protocol/ghc_binary.h"
#include "protocol/ghc_versions.h"
#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost::ghc {

// The largest message that is accepted from GHC, in bytes. (The byte code of a module with ten thousand
// definitions takes some ten megabytes.)
constexpr uint64_t kMessageLimit = uint64_t{400} << 20;

// What came of decoding the beginning of a stream.
struct Decoded {
  // The bytes that the message took; 0 if it is not complete.
  size_t size = 0;
  // If it is not complete: how many more bytes must arrive, at the least.
  uint64_t missing = 0;
};

// Decodes the message at the beginning of `bytes` into `request`, whose content is unspecified unless
// the message was complete. Fails if the bytes are no message.
Result<Decoded> decodeRequest(const Version& version, Bytes bytes, schema::Request::Builder request);

// Encodes a request as GHC would. The version must have it (requestTag).
void encodeRequest(const Version& version, schema::Request::Reader request, Writer& writer);

// Encodes the answer to a request of kind `which` as GHC expects it. A reply of another kind than the
// request asks for is an error, as is `failed`. Writes the RunTHDone that precedes a splice's result.
Status encodeReply(const Version& version, schema::Request::Which which, schema::Reply::Reader reply, Writer& writer);

// Decodes an answer to a request of kind `which`: what an interpreter's Haskell side made of it. All of
// `bytes` must be the answer. RunTHDone is not part of it.
Status decodeReply(const Version& version, schema::Request::Which which, Bytes bytes, schema::Reply::Builder reply);

// LoadedDll.handle of a shared object that was loaded by this name: never 0. It is the same in every process, since the
// one that answers LoadDLL is not always the one that looks up symbols. Two names can have the same one, in theory;
// whoever loads has to refuse the second.
uint64_t sharedObjectHandle(std::string_view name);

}  // namespace splicehost::ghc
