// Checking a received Cap'n Proto message before anything reads it.
#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>

#include "protocol/result.h"

namespace splicehost {

// The deepest nesting of pointers in a message; twice that of an expression (ghc_messages.cc) and some.
constexpr int kMaxNesting = 128;

// For reading a message that checkMessage() has found good: that can be done as often as one likes.
constexpr capnp::ReaderOptions kCheckedMessage{UINT64_MAX, kMaxNesting};

// Follows all pointers of a message in the standard stream framing, whose root is a struct of this schema. It follows
// those that the schema knows, as what it says they are, and then all that there are. If that succeeds, whoever reads
// the message afterwards, or copies any part of it, need not expect exceptions.
Status checkMessage(kj::ArrayPtr<const capnp::word> words, capnp::StructSchema root);

}  // namespace splicehost
