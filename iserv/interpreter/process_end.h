// Ending an interpreter as other programs end: with all that `exit` does.
//
// Note [Exit handlers]. Libraries that a splice has loaded rely on atexit(), destructors and the flushing of streams.
// GHC goes on when it believes that its interpreter is done. So whoever waits has to be told when all of that is over.
// It is told before the kernel takes the process apart, which takes longer than most handlers do. exit() calls handlers
// in the reverse order of their registration. Those of shared objects come last: the loader has registered them before
// main(). Ours is registered before the loader does it, by the program's .preinit_array.
//
// hs_exit() is called only for the report that RTS options ask for: it collects the whole heap once more. Haskell
// threads that splices have forked may still run while handlers do. Stopping them would mean waiting for each.
#pragma once

namespace splicehost {

// Has the socket shut down, in both directions, when this process has ended by exit() and all that exit() does is done.
// One socket for a process; another call replaces it.
void hangUpAfterExitHandlers(int socket);

}  // namespace splicehost
