// Where exceptions end: at the place where what somebody else sent is handled.
//
// No exception is expected there, since messages are checked before (message_check.h). One that comes all the same, of
// Cap'n Proto or for want of memory, costs whoever sent the message, and not a process that others need.
#pragma once

#include <exception>
#include <utility>

#include "protocol/result.h"

namespace splicehost {

// What `call` returns, a Status; an error if an exception leaves it.
template <typename Call>
Status contain(Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const std::exception& e) {
    return Error{std::string("unexpected: ") + e.what()};
  }
}

}  // namespace splicehost
