// The byte stream of a connection to another machine, whatever it is made of.
#pragma once

#include <kj/io.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "protocol/result.h"

namespace splicehost::remote {

// What came of reading or writing without waiting.
struct Transferred {
  size_t bytes = 0;
  bool ended = false;         // reading: the other side has hung up
  bool wantsToRead = false;   // nothing was transferred, until something can be read
  bool wantsToWrite = false;  // likewise, written
};

class Stream {
 public:
  // What closes fds, with kj's classes, may throw.
  virtual ~Stream() noexcept(false) = default;

  // Neither waits. Fail with the system's reason if the connection is lost.
  virtual Result<Transferred> read(std::span<std::byte> target) = 0;
  virtual Result<Transferred> write(std::span<const std::byte> bytes) = 0;
  // Something has been read from the fd that read() has not yet returned.
  virtual bool buffered() const { return false; }

  // Says that nothing more will be written.
  virtual void endWriting() = 0;

  virtual int readFd() const = 0;
  virtual int writeFd() const = 0;
};

// A socket, or a pair of pipes. `in` and `out` may be the same number; both are taken over.
std::unique_ptr<Stream> plainStream(int in, int out);

// Has the kernel notice within seconds that the other machine is not there any more, and send small messages
// at once. For TCP sockets; does nothing to others.
void tuneTcp(int fd);

}  // namespace splicehost::remote
