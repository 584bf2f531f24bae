// Gives arbitrary bytes to the decoders of GHC's messages. What is a message has to be encoded to
// the same bytes, and a part of it has to be waited for, never longer than what is missing. The
// first byte of the input is the tag of the message, or of the one whose answer the rest is.
#include <capnp/message.h>
#include <kj/string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "protocol/describe.h"
#include "protocol/ghc_messages.h"

namespace {

using namespace splicehost;
using namespace splicehost::ghc;

void require(bool condition) {
  if (!condition) std::abort();
}

void checkRequest(const Version& version, Bytes input) {
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<schema::Request>();
  Result<Decoded> decoded = decodeRequest(version, input, request);
  if (!decoded) return require(!decoded.error().message.empty());
  require((decoded->size > 0) != (decoded->missing > 0));
  if (decoded->size == 0) return;

  Bytes whole = input.first(decoded->size);
  Writer encoded;
  encodeRequest(version, request, encoded);
  require(std::ranges::equal(encoded.bytes(), whole));
  require(!subject(request).empty());
  require(!describe(request.asReader()).empty());

  for (size_t size : {whole.size() / 2, whole.size() - 1}) {
    capnp::MallocMessageBuilder partMessage;
    Result<Decoded> part = decodeRequest(version, whole.first(size), partMessage.initRoot<schema::Request>());
    require(part.ok() && part->size == 0);
    require(part->missing > 0 && part->missing <= whole.size() - size);
  }
}

// An answer may have two encodings (an exit code of 0), so its content is compared.
void checkReply(const Version& version, schema::Request::Which which, Bytes input) {
  capnp::MallocMessageBuilder message, again;
  auto reply = message.initRoot<schema::Reply>();
  if (Status decoded = decodeReply(version, which, input, reply); !decoded) {
    return require(!decoded.error().message.empty());
  }
  Writer encoded;
  require(encodeReply(version, which, reply, encoded).ok());
  Bytes bytes = encoded.bytes();
  if (reply.which() == schema::Reply::Q_RESULT) bytes = bytes.subspan(1);  // RunTHDone
  require(decodeReply(version, which, bytes, again.initRoot<schema::Reply>()).ok());
  require(kj::str(again.getRoot<schema::Reply>()) == kj::str(reply));
  require(!describe(reply.asReader()).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input = std::as_bytes(std::span(data, size));
  for (const Version& version : versions()) {
    checkRequest(version, input);
    if (size == 0 || data[0] >= version.requests.size()) continue;
    checkReply(version, version.requests[data[0]], input.subspan(1));
  }
  return 0;
}
