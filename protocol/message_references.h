// The remote references in a message: what interpreter.capnp marks as such.
#pragma once

#include <functional>

#include "protocol/interpreter.capnp.h"

namespace splicehost {

// Calls `visit` with each reference in the message, in order, as often as it is there.
void forEachReference(schema::Request::Reader request, const std::function<void(uint64_t)>& visit);
void forEachReference(schema::Reply::Reader reply, const std::function<void(uint64_t)>& visit);

}  // namespace splicehost
