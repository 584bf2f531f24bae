// The addresses of a host.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "protocol/attention.h"
#include "protocol/result.h"

namespace splicehost::remote {

struct Address {
  sockaddr_storage address = {};
  socklen_t size = 0;
};

// Those of a name or a numeric address, with a port that is a number. The C library waits for name servers as long as
// it likes. So names are looked up by a process of its own. It is given up after this time, or when `attention` (if
// there is one) is cancelled. Fails with the system's reason.
Result<std::vector<Address>> lookUp(const std::string& host, const std::string& port,
                                    std::chrono::milliseconds patience, Attention* attention);

}  // namespace splicehost::remote
