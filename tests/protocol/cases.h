// Messages of every kind: what they are in the schema, and their bytes on the wire of GHC 9.0.2.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "protocol/interpreter.capnp.h"

namespace splicehost::testing {

struct RequestCase {
  // Unique, of letters and digits.
  const char* name;
  // The bytes, for wire().
  const char* bytes;
  std::function<void(schema::Request::Builder)> build;
};

struct ReplyCase {
  const char* name;
  // The kind of request that is answered.
  schema::Request::Which request;
  // The answer's bytes. A splice's are preceded by RunTHDone, which is not among them.
  const char* bytes;
  std::function<void(schema::Reply::Builder)> build;
};

// In the order of recorded/Encode.hs.
const std::vector<RequestCase>& requestCases();
const std::vector<ReplyCase>& replyCases();

inline void PrintTo(const RequestCase& each, std::ostream* out) {
  *out << each.name;
}
inline void PrintTo(const ReplyCase& each, std::ostream* out) {
  *out << each.name;
}

}  // namespace splicehost::testing
