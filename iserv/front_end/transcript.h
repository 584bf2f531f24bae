// A front end's transcript with an interpreter, which can be repeated with another one.
//
// Note [Repeating a session]. A session of the broker's can be killed through no fault of its client's: by the system
// when memory runs out, or by somebody who tidies up. GHC cannot go back. But another fork of the same zygote that is
// told the same gives the same answers, down to the addresses in them. It also asks the compiler the same questions. So
// all is said again, and the answers are compared. If one differs there is nothing to be done. Splices are run twice by
// this, as they are whenever GHC compiles a module again. Statements of GHCi's are not for repeating.
#pragma once

#include <capnp/message.h>

#include <optional>
#include <vector>

#include "protocol/connection.h"
#include "protocol/interpreter.capnp.h"

namespace splicehost {

class Transcript {
 public:
  // `attention` as a Connection's.
  explicit Transcript(kj::AutoCloseFd socket, Attention* attention = nullptr)
      : attention_(attention), connection_(kj::mv(socket), attention) {}

  // From here on, what is said is remembered.
  void remember() { remembering_ = true; }
  // From here on not any more: it cannot be repeated.
  void forget();

  // Fails if the interpreter has hung up.
  Status send(capnp::MessageBuilder& message);
  // Waits for a message; nothing if the interpreter has hung up. The reader is valid until the next call.
  Result<std::optional<schema::FromInterpreter::Reader>> receive();

  // Says all that is remembered on `socket`, which takes the place of this one's. Fails if an answer is not the same as
  // before; the transcript is then of no use any more. `remembers()` must be true.
  Status repeatOn(kj::AutoCloseFd socket);
  bool remembers() const { return remembering_; }

  // Waits for an event of poll()'s, POLLIN or POLLRDHUP, at the socket, when nothing is buffered. False if there is
  // none within this time, or `attention` is cancelled.
  bool await(short event, uint64_t patienceMs, Attention* attention) const;

  bool buffered() const { return connection_.buffered(); }
  int fd() const { return connection_.fd(); }

 private:
  struct Said {
    bool byUs;
    kj::Array<capnp::word> words;
  };
  void keep(bool byUs, kj::ArrayPtr<const capnp::word> words);

  Attention* attention_;
  Connection connection_;
  bool remembering_ = false;
  std::vector<Said> said_;
  size_t words_ = 0;
};

}  // namespace splicehost
