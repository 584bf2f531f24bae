// A backtrace on stderr if interpreted code crashes this process.
#pragma once

namespace splicehost {

// Catches the signals by which a process crashes. The handlers write what can be had: the signal, the C stack, the
// Haskell stack with the names of its frames. Then they let the signal take its course, so whoever waits for this
// process still learns of it. Call once, after the RTS is initialised.
void installCrashReport();

}  // namespace splicehost
