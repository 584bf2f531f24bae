// A front end's connection to its interpreter, wherever that is.
#pragma once

#include <capnp/message.h>

#include <optional>

#include "protocol/interpreter.capnp.h"
#include "protocol/result.h"

namespace splicehost {

class InterpreterLink {
 public:
  // What closes fds, with kj's classes, may throw.
  virtual ~InterpreterLink() noexcept(false) = default;

  // Sends a ToInterpreter. Fails if the interpreter has hung up. `awaited` says whether the answer will be waited for;
  // that of another request may come as late as that of the next one that is.
  virtual Status send(capnp::MessageBuilder& message, bool awaited = true) = 0;
  // Waits for a message; nothing if the interpreter has hung up. The reader is valid until the next call.
  virtual Result<std::optional<schema::FromInterpreter::Reader>> receive() = 0;

  // Sends what send() has kept back, which it may do with what is not awaited. False if it had kept back nothing.
  virtual bool flush() { return false; }

  // Whether receive() has something to say without waiting, after fd() was readable. That it was may have other
  // reasons.
  virtual Result<bool> ready() { return true; }
  // receive() or ready() should be called without waiting for fd().
  virtual bool buffered() const = 0;
  virtual int fd() const = 0;
  // How long to wait for fd() at the most before ready() is called; -1 for ever.
  virtual int patienceMs() const { return -1; }
};

}  // namespace splicehost
