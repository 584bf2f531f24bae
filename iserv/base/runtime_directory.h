// Where the broker's socket is, and whether it is safe to use.
//
// The directory is $XDG_RUNTIME_DIR/splicehost. That variable may not be set, or its directory not exist or not be
// writable. Then it is splicehost-<user id> in the first of /tmp, $TMPDIR, and $XDG_CACHE_HOME (or ~/.cache) in which
// it can be. So it is if the path would be too long for a socket, with -<16 hexadecimal digits of a digest of that
// path> behind the name. It is made with mode 0700 if it is not there. It is refused if it is a symbolic link, belongs
// to somebody else, or is open to others at all. Whoever can write to it could take the broker's place. The same holds
// for $XDG_RUNTIME_DIR itself, but for reading.
#pragma once

#include <string>

#include "protocol/result.h"

namespace splicehost {

// The directory, which exists and is the user's alone. Fails with the reason and what to do.
Result<std::string> runtimeDirectory();

// The name of a broker's socket in that directory, "iservd-<16 hexadecimal digits>.socket".
//
// One broker serves clients that see the same world. The name is a digest of the calling process's identity
// (iserv/base/process_identity.h), and of the path and signature of the broker's program file. So a client in a
// container gets a broker of that container, and a client of another build a broker of that build. Fails if the program
// cannot be found.
Result<std::string> brokerSocketName(const std::string& brokerProgram);

}  // namespace splicehost
