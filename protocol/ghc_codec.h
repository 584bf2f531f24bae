// GHC's encoding of the types in interpreter.capnp, by walking the schema.
//
// GHC's encoding is generic (binary-0.8.8.0, Data/Binary/Generic.hs): a sum is the number of its constructor and the
// constructor's fields, a product its fields in order. The schema has GHC's order. So it alone says what a type looks
// like on the wire, but for two types that differ between GHC versions (ghc_versions.h).
#pragma once

#include <capnp/dynamic.h>

#include <string_view>

#include "protocol/ghc_binary.h"
#include "protocol/ghc_versions.h"
#include "protocol/message_layout.h"
#include "protocol/result.h"

namespace splicehost::ghc {

class Decoder {
 public:
  // `value` names the alternative to take where a type depends on the request. All must outlive this.
  Decoder(const Version& version, std::string_view value, Reader& in) : version_(version), value_(value), in_(in) {}

  // Reads the content of a field of `to`. What went wrong is the reader's to tell; what is in `to` is then
  // unspecified.
  void read(capnp::DynamicStruct::Builder to, const FieldLayout& field);

 private:
  void readStruct(capnp::DynamicStruct::Builder to, const StructLayout& layout);
  void readList(capnp::DynamicStruct::Builder to, const FieldLayout& field);

  const Version& version_;
  std::string_view value_;
  Reader& in_;
  int depth_ = 0;
};

class Encoder {
 public:
  // As of a Decoder.
  Encoder(const Version& version, std::string_view value, Writer& out) : version_(version), value_(value), out_(out) {}

  // Writes the content of a field of `from`. Fails if it holds another alternative than the request asks for.
  Status write(capnp::DynamicStruct::Reader from, const FieldLayout& field);

 private:
  Status writeStruct(capnp::DynamicStruct::Reader from, const StructLayout& layout);
  Status writeList(capnp::DynamicList::Reader list, const FieldLayout& field);

  const Version& version_;
  std::string_view value_;
  Writer& out_;
};

}  // namespace splicehost::ghc
