// What a process gets from whoever starts it, and a shared session from its client instead: standard streams and
// further descriptors, working directory, environment, umask, limits, niceness, processors, process group.
#pragma once

#include <kj/io.h>

#include <span>
#include <vector>

#include "protocol/broker.capnp.h"
#include "protocol/result.h"

namespace splicehost {

// Describes this process's context in `attach` and appends the fds that belong to it (see ToBroker.attach). They stay
// this process's, but for the directory, which the result owns.
Result<kj::AutoCloseFd> describeProcessContext(schema::Attach::Builder attach, std::vector<int>& fds);

// Whether a process with other limits could take this process's. An address space limit cannot be taken
// by a process that has its heap already.
bool canBeAdopted(schema::Attach::Reader attach);

// Makes this the context of this process. `fds` are as describeProcessContext() lists them. Fails if
// the system refuses; the process is then fit for nothing.
Status adoptProcessContext(schema::Attach::Reader attach, std::span<const kj::AutoCloseFd> fds);

}  // namespace splicehost
