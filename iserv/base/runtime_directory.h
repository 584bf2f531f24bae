// Where the broker's socket is, and whether it is safe to use.
//
// The directory is $XDG_RUNTIME_DIR/splicehost. If that variable is not set, or its directory does not exist or cannot
// be written to, it is splicehost-<user id> in the first of /tmp, $TMPDIR, and $XDG_CACHE_HOME (or ~/.cache) in which
// it can be; and if the path would be too long for a socket, splicehost-<user id>-<16 hexadecimal digits of a digest of
// that path> there. It is made with mode 0700 if it is not there. It is refused if it is a symbolic link, belongs to
// somebody else, or is open to others at all; whoever can write to it could take the broker's place. The same holds for
// $XDG_RUNTIME_DIR itself, but for reading.
#pragma once

#include <string>

#include "protocol/result.h"

namespace splicehost {

// The directory, which exists and is the user's alone. Fails with the reason and what to do.
Result<std::string> runtimeDirectory();

// The name of a broker's socket in that directory, "iservd-<16 hexadecimal digits>.socket".
//
// One broker serves clients that see the same world: the name is a digest of the calling process's mount,
// pid, user, network, IPC and UTS namespaces, root directory, user and group ids, no_new_privs and seccomp mode, and of
// the path and signature of the broker's program file; so a client in a container gets a broker of that container, and
// a client of another build a broker of that build. Fails if the program cannot be found.
Result<std::string> brokerSocketName(const std::string& brokerProgram);

}  // namespace splicehost
