#include "protocol/ghc_messages.h"

#include "protocol/ghc_codec.h"
#include "protocol/hash.h"
#include "protocol/message_layout.h"

namespace splicehost::ghc {

using schema::Reply;
using schema::Request;

Result<Decoded> decodeRequest(const Version& version, Bytes bytes, Request::Builder request) {
  Reader in(bytes, kMessageLimit);
  uint8_t tag = in.byte();
  if (in.ok() && tag >= version.requests.size()) {
    return Error{"unknown message tag " + std::to_string(tag) + " at offset 0 (GHC " + std::string(version.name) +
                 " has tags 0 to " + std::to_string(version.requests.size() - 1) + ")"};
  }
  if (in.ok()) Decoder(version, "", in).read(request, layoutOf(version.requests[tag]));
  if (in.malformed()) return in.error().within("message with tag " + std::to_string(tag));
  if (in.missing() > 0) return Decoded{0, in.missing()};
  return Decoded{in.offset(), 0};
}

void encodeRequest(const Version& version, Request::Reader request, Writer& out) {
  out.byte(static_cast<uint8_t>(requestTag(version, request.which())));
  // No request has alternatives.
  (void)Encoder(version, "", out).write(request, layoutOf(request.which())).ok();
}

uint64_t sharedObjectHandle(std::string_view name) {
  Hash hash;
  hash.add(name);
  return hash.value() != 0 ? hash.value() : 1;
}

Status encodeReply(const Version& version, Request::Which which, Reply::Reader reply, Writer& out) {
  if (reply.isFailed()) {
    auto reason = reply.getFailed();
    return Error{std::string(reason.begin(), reason.size())};
  }
  const RequestKind& kind = kindOf(which);
  if (reply.which() != kind.reply) {
    return Error{"the interpreter's reply is of kind " + std::to_string(static_cast<int>(reply.which())) + ", not " +
                 std::to_string(static_cast<int>(kind.reply))};
  }
  if (reply.isClosure()) {
    auto closure = reply.getClosure();
    out.raw({reinterpret_cast<const std::byte*>(closure.begin()), closure.size()});
    return Done{};
  }
  if (reply.isQResult()) out.byte(version.runTHDoneTag);
  return Encoder(version, kind.value, out).write(reply, layoutOf(reply.which()));
}

Status decodeReply(const Version& version, Request::Which which, Bytes bytes, Reply::Builder reply) {
  const RequestKind& kind = kindOf(which);
  if (kind.reply == Reply::CLOSURE) {
    // Only Haskell can tell what is in it.
    reply.setClosure({reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()});
    return Done{};
  }
  Reader in(bytes, kMessageLimit);
  Decoder(version, kind.value, in).read(reply, layoutOf(kind.reply));
  if (in.malformed()) return in.error();
  if (in.missing() > 0) return Error{"the answer is cut short"};
  if (in.offset() != bytes.size()) {
    return Error{std::to_string(bytes.size() - in.offset()) + " bytes follow the answer"};
  }
  return Done{};
}

}  // namespace splicehost::ghc
