// Readable text of messages, for traces and for error messages.
#pragma once

#include <string>

#include "protocol/ghc_versions.h"
#include "protocol/interpreter.capnp.h"

namespace splicehost {

// The request with its content, on one line; long data is cut.
std::string describe(schema::Request::Reader request);

// The reply with its content, on one line; long data is cut.
std::string describe(schema::Reply::Reader reply);

// Any message of an interpreter's: its reply as above, or what else it is.
std::string describe(schema::FromInterpreter::Reader message);

// What a request is about, for an error message: "loadArchive /x/libfoo.a",
// "splice at Main.hs:3:4-9". The same as the name if there is nothing to say.
std::string subject(schema::Request::Reader request);

// The name of a THMessage from its encoding.
std::string thMessageName(const ghc::Version& version, capnp::Data::Reader message);

}  // namespace splicehost
