#include "iserv/interpreter/process_end.h"

#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>

namespace splicehost {

namespace {

// exit() knows nothing but functions without arguments.
int lastSocket = -1;

void hangUp() {
  // exit() itself does this after all handlers only.
  std::fflush(nullptr);
  if (lastSocket >= 0) shutdown(lastSocket, SHUT_RDWR);
}

void registerFirst() { std::atexit(hangUp); }

[[gnu::used, gnu::section(".preinit_array")]] void (*const beforeAllOthers)() = registerFirst;

}  // namespace

void hangUpAfterExitHandlers(int socket) { lastSocket = socket; }

}  // namespace splicehost
