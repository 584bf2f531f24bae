// Lets a peer send arbitrary bytes over a connection, as client and as interpreter. Each message
// that is received has to be readable to the last pointer without an exception.
#include <capnp/message.h>
#include <kj/string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "protocol/connection.h"
#include "protocol/describe.h"
#include "protocol/ghc_messages.h"

namespace {

using namespace splicehost;

// A file serves as a stream that ends.
Connection connectTo(std::span<const std::byte> bytes) {
  int fd = memfd_create("peer", MFD_CLOEXEC);
  if (fd < 0 || !writeAll(fd, bytes) || lseek(fd, 0, SEEK_SET) != 0) std::abort();
  return Connection(kj::AutoCloseFd(fd));
}

void use(schema::ToInterpreter::Reader message) {
  if (!message.isRequest()) return;
  auto request = message.getRequest();
  ghc::Writer bytes;
  ghc::encodeRequest(ghc::versions()[0], request, bytes);
  if (describe(request).empty() || subject(request).empty()) std::abort();
}

void use(schema::FromInterpreter::Reader message) {
  if (!message.isReply()) return;
  auto reply = message.getReply();
  for (auto which : ghc::versions()[0].requests) {
    ghc::Writer bytes;
    // It is the answer to some kinds of requests and none to others.
    static_cast<void>(ghc::encodeReply(ghc::versions()[0], which, reply, bytes));
  }
  if (describe(reply).empty()) std::abort();
}

template <typename Root>
void receiveAll(std::span<const std::byte> bytes) {
  Connection connection = connectTo(bytes);
  for (;;) {
    auto message = connection.receive<Root>();
    if (!message) {
      if (message.error().message.empty()) std::abort();
      return;
    }
    if (!*message) return;
    kj::str(**message);
    use(**message);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  receiveAll<schema::ToInterpreter>(bytes);
  receiveAll<schema::FromInterpreter>(bytes);
  return 0;
}
